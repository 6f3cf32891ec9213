"""The miniature Whisper of the test suite: its corpus, training and evaluation."""

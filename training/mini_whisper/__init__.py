"""mini_whisper"""

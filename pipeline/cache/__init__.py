"""Results of finished stages, kept between runs with their checksums.

One folder per recording, limited in size and age.
"""

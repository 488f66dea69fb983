"""Recordings for ssl-platform: WAV, FLAC, OGG and MP3 as log-mel spectrograms."""

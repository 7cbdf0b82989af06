"""Pixel Data of one instance: frames, decoders, stored values."""

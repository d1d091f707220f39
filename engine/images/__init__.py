"""Decoding untrusted pictures, and encoding pixels."""

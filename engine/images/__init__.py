"""Untrusted bytes to pixels, and pixels to bytes."""

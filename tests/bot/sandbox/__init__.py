"""Tests of the local Discord, with the real discord.py and with bare requests."""

"""Gatys' method, coarse to fine."""

"""Losses: what a painting minimises."""

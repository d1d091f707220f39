"""Painting on several machines: certificates, and a scheduler and workers that accept only paintings."""

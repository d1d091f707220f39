"""Painting on several machines: certificates, a scheduler and workers that take nothing but paintings."""

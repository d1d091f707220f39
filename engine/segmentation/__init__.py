"""Finds what a photograph shows: its subject, and faces. Two small networks, which run in a worker only."""

"""The REST side of the local Discord: routes, bodies, limits, files."""

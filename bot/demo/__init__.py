"""Pictures to try Atelier with, drawn by its own code."""

"""``atelier stylize``."""

"""``/stylize``: a photo in the style of pictures."""

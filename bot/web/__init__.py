"""The operator's HTTP side: health now."""

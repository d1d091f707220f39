"""What moves the pixels."""

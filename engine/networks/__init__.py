"""Feed-forward networks that paint in one pass: their architecture, training and files."""

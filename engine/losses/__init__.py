"""What a painting minimises."""

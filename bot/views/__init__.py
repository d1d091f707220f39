"""What a member can press."""

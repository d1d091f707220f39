"""What a member can say: one file for each command family."""

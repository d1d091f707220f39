"""What members can do: one package for each feature."""

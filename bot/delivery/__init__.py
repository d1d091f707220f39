"""How text and pictures reach a member."""

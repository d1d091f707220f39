"""How texts and pictures reach a member."""

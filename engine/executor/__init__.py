"""The bot's side of the workers. Nothing here imports torch."""

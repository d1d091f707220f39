"""discord.py's client, configured for this bot. It imports no feature."""

"""discord.py's client, configured: first answers, attachments, errors."""

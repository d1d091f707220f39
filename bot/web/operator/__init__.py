"""The operator's page: the state of the bot, live, and what operators do about it."""

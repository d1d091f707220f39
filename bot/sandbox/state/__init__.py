"""The state of the local Discord: servers, channels, messages, commands, interactions."""

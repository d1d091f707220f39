"""What the local Discord knows: servers, channels, messages, commands, interactions."""

"""What runs in a worker process, and the values that it exchanges with the bot. Importing it never imports torch."""

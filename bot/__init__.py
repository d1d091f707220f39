"""The Discord bot: what members say and press, the life of a job, and what they get back."""

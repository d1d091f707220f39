"""Members of the local Discord: what they type, press and see."""

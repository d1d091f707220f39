"""The demo, with pictures that this project's own code drew."""

"""Test doubles of the executor, the job service and replies, typed against the Protocols that the product uses."""

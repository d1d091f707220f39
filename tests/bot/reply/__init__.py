"""Tests of how a job is told of in its reply, and by other ways."""

"""A test that no acknowledged job is lost: the real bot under SIGKILL and faults."""

"""The proof that nothing acknowledged is lost: the real bot under SIGKILL and faults."""

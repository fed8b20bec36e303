"""However a call is left, no prediction runs on that nobody waits for: the server is asked."""

"""Both clients against a real local server."""

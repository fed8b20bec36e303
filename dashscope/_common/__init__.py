"""What every layer may use: it does no I/O and knows nothing of the API."""

"""One API call with its policy: retries, polling, pagination, decoding."""

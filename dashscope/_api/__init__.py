"""One call of the API with its policy: retries, polling, pages, decoding."""

"""Running jobs: the engine, worker pools and processes, the change feed, and webhooks."""

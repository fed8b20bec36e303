"""Benchmarks of this client and of similar clients: `nox -s bench` (see the README)."""

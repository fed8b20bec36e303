"""Helpers for every layer, without I/O and without knowledge of the API."""

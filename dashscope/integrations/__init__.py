"""Integrations with other libraries, each in its own module with its own extra."""

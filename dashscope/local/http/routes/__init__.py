"""The operations of the API: one module per resource, each a list of routes."""

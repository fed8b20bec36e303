"""The resources of the API: one module each, its types and its operations together."""

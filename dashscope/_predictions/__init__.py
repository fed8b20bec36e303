"""A prediction from its creation to its terminal status."""

"""The values that the API returns."""

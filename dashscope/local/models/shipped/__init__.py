"""The models every server has; each file is also the code of its version."""

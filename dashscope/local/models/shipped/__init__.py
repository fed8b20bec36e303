"""The models shipped with every server. Each file is the code of one model."""

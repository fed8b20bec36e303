"""The models of the server: their registration, code, signatures and files."""

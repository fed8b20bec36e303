"""The clients against a real local server, as a program uses them."""

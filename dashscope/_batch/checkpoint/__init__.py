"""The checkpoint of a batch: what is done, kept in a file."""

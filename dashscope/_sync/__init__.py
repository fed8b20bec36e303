"""The sync facade: generated classes that drive the async ones in the calling thread."""

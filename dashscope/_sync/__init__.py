"""The blocking facade: generated classes that drive the async ones in the calling thread."""

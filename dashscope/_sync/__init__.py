"""The sync client: generated classes that drive the async ones in the calling thread."""

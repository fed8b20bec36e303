"""A loopback server that costs as little as can be, so that the client is what is measured."""

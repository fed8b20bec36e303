"""A loopback server with minimal overhead, so that the benchmarks measure the client."""

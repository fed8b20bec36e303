"""One HTTP exchange on httpx: clients, the connection pool, bodies and errors.

`transport` defines the interface. `async_transport` and `sync_transport` implement it, and each
is loaded only by the client that needs it.
"""

"""One HTTP exchange: clients, the connection pool, bodies, error mapping."""

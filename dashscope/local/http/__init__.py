"""The HTTP side of the server: the application, its middleware, and the routes."""

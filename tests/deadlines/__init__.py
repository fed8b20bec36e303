"""A time-out is one in seconds of the wall, however slowly the other side moves."""

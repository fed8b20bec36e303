"""Clients with loops, threads, processes and the garbage collector, in separate programs."""

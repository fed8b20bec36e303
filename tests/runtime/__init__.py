"""Clients among loops, threads, processes and the garbage collector, in programs of their own."""

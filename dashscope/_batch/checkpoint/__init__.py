"""Checkpoints: a file that records the progress of a batch, so that a later call can resume it."""

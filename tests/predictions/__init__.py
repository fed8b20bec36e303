"""Predictions: create, wait, stream and cancel."""

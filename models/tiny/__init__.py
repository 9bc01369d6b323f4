"""Tiny models with random weights: the real classes, made on this machine for tests and profile `tiny`."""

"""Tiny models with random weights for tests and profile `tiny`: real classes, made on this machine."""

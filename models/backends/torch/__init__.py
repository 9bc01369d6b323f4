"""Backends on torch: networks that answer in one pass."""

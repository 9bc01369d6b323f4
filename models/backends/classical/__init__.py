"""Backends without weights."""

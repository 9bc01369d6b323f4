"""Backends without weights: classical computer vision."""

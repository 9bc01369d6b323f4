"""Backends on dlib."""

"""Backends on diffusers: networks that generate in steps."""

"""Arithmetic on pixels, and picture files. Nothing here uses a model or HTTP."""

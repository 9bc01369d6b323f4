"""Backends on torch: the only modules that import it, so that `lite` needs none of it."""

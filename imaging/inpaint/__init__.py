"""Filling holes from the rest of a picture: where to copy from, how to lay it out, how to level it."""

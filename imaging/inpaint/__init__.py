"""Inpainting from the rest of a picture: where to copy from, full-size texture, and colour correction."""

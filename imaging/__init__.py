"""Arithmetic on pixels: no models, no HTTP, nothing but arrays and files of pictures."""

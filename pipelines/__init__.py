"""The image operations, one file each: they call models by role and know nothing of HTTP."""

"""Server: everything that speaks HTTP."""

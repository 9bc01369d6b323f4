"""Storage: result files, signed links, and the database."""

"""Storage: bytes at rest."""

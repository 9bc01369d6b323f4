"""The HTTP layer: fields, uploads, fetching, authentication, limits, results, health and shutdown."""

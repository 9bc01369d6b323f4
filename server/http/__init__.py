"""Everything that speaks HTTP: fields, uploads, fetching, authentication, limits, results and shutdown."""

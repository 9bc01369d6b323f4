"""The reference of the API at `/docs`, and the files that its page loads."""

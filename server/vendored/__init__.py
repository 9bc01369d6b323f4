"""Third-party code that the pages of the server load, as `VENDORED.toml` lists it."""

"""The backends that fill the roles, a folder for each family of runtimes."""

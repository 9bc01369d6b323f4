"""The backends: the classes that implement the roles, in one folder per runtime."""

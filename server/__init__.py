"""The server: the FastAPI application, its HTTP layer, its routes and its jobs."""

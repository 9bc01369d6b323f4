"""Models: the roles a picture operation needs, and the backends that fill them."""

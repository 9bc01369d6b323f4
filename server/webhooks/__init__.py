"""Webhooks: a signed POST with the outcome of a request to the address that its caller named."""

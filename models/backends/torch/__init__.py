"""Backends on torch, except diffusion models."""

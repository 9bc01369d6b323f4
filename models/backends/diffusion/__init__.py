"""Backends on diffusers: diffusion models, which generate a picture in many steps."""

"""Pipelines: one file per operation, picture in, picture out, over model roles."""

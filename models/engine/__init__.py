"""Engines: where the calls of models run, in this process or on a cluster."""

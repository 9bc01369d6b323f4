"""Weights on disk: cache, downloads, bundles for machines without a network, and the command line."""

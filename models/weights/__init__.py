"""Weights on disk: the cache, downloads, bundles for machines without network, and the command line."""

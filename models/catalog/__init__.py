"""The catalog: model cards, the sources of their weights, and the profiles that choose cards."""

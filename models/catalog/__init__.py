"""The catalog: model cards, where their weights come from, and the profiles that choose among them."""

"""What loading any torch model needs: one lock, strict weights, clear faults."""

import threading

LOADING = threading.RLock()
"""Held while a model loads. `from_pretrained` swaps functions of torch for the time it runs, so that two
loads at once leave `torch.linspace` patched for good (diffusers 0.42 with transformers 5)."""

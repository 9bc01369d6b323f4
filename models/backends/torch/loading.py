"""The lock for loading torch models."""

import threading

LOADING = threading.RLock()
"""Held while a model loads. `from_pretrained` patches functions of torch while it runs. Two
parallel loads would leave `torch.linspace` patched for ever (diffusers 0.42 with transformers
5)."""

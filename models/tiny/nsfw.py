"""A tiny image classifier with random weights, in hub layout."""

from pathlib import Path

import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

from models.backends.torch.loading import LOADING


def make_tiny(folder: Path) -> None:
    """Write a tiny ViT with random weights and the labels of Falconsai's classifier, in hub layout."""
    folder.mkdir(parents=True, exist_ok=True)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label={0: "normal", 1: "nsfw"},
        label2id={"normal": 0, "nsfw": 1},
    )
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)

"""A tiny matting repository with random weights, in hub layout.

Like BiRefNet's, it contains its own code.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from models.backends.torch.birefnet import TASK
from models.backends.torch.loading import LOADING
from models.tiny.matting_network import TinyMatting, TinyMattingConfig

_MODULE = "tiny_matting"
"""Name of the code file in the repository, a copy of `matting_network.py`."""


def make_tiny(folder: Path) -> None:
    """Write a tiny network with random weights and its code, in hub layout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{_MODULE}.py").write_text(
        Path(__file__).with_name("matting_network.py").read_text()
    )
    config = {
        "architectures": ["TinyMatting"],
        "auto_map": {
            "AutoConfig": f"{_MODULE}.TinyMattingConfig",
            TASK: f"{_MODULE}.TinyMatting",
        },
        "channels": 8,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    preprocessor = {"size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = TinyMatting(TinyMattingConfig(channels=8)).state_dict()
    save_file(state, folder / "model.safetensors", {"format": "pt"})

"""A tiny matting repository, in hub layout, that finds a subject in the middle of every picture.

Like BiRefNet's, it contains its own code. Its weights are random, but for those of the place.
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
_FAINT, _SURE = 0.1, 12.0
"""Factor of the random weights; the logit of the middle."""


def make_tiny(folder: Path) -> None:
    """Write a tiny network and its code, in hub layout.

    The subject is an ellipse in the middle: opaque inside, transparent outside, soft at the edge. The
    random weights move its logits a little, by the picture's colours.
    """
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
        network = TinyMatting(TinyMattingConfig(channels=8))
        for layer in (network.coarse, network.fine[-1]):
            _look_at_the_middle(layer.weight)
        state = network.state_dict()
    save_file(state, folder / "model.safetensors", {"format": "pt"})


@torch.no_grad()
def _look_at_the_middle(weight: torch.Tensor) -> None:
    """Change a kernel, 1 x channels x rows x columns, so that its last channel, the place, decides."""
    weight.mul_(_FAINT)
    weight[:, -1] = 0
    weight[:, -1, weight.shape[2] // 2, weight.shape[3] // 2] = _SURE

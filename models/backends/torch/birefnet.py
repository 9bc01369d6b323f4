"""Matting with BiRefNet and RMBG-2.0, whose network comes as code beside the weights.

Run on tiny random weights with modelling code of their own only; not run on the published code and
weights, nor on a GPU.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from imaging.picture import Matte, Rgb
from models.backends.matting_input import Float, read_input, to_full_size
from models.backends.torch.checkpoints import first_line, load_strictly, read_state
from models.backends.torch.loading import LOADING
from models.backends.torch.residence import DeviceModule
from models.device import DeviceConfig
from models.errors import BadWeightsError, RemoteCodeError

_MULTIPLE = 32  # of the sides that the networks take
TASK = "AutoModelForImageSegmentation"


class BiRefNet:
    """Fulfils the role `models.roles.Matting`.

    Weights are float32 whatever the device configuration asks for: the deformable convolutions take neither
    bfloat16 nor, in RMBG-2.0, float16 weights. On a GPU a device configuration of either dtype runs the
    network under float16 autocast.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig | None = None,
        *,
        allow_remote_code: bool = False,
        side: int | None = None,
    ) -> None:
        """Load a local folder in hub layout, whose code is run only if `allow_remote_code`.

        side: of the square the network sees; unless given it is what `preprocessor_config.json`
        says, or 1024. The code is copied to the modules cache of transformers, which must be
        writable. Raises RemoteCodeError, or BadWeightsError naming the file.
        """
        device_config = device_config or DeviceConfig()
        self._input = read_input(folder, side)
        if self._input.side % _MULTIPLE:
            raise ValueError(f"side {self._input.side} is not a multiple of {_MULTIPLE}")
        self._folder = folder
        self._module = DeviceModule(_load(folder, allow_remote_code), device_config, torch.float32)
        self._half = self._module.device.type == "cuda" and device_config.dtype != "float32"

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: a repository in hub layout, whose commit its card pins."""
        return cls(paths[0], device_config, allow_remote_code=True)

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        return to_full_size(rgb, self._look([rgb])[0])

    def batch_key(self, rgb: Rgb) -> str:
        """Let any pictures go together: each is squeezed to the same square (`models.runtime.batching`)."""
        return "matte"

    def predict_batch(self, calls: Sequence[tuple[tuple[Rgb], Mapping[str, Any]]]) -> list[Matte]:
        """Return the matte of each picture."""
        pictures = [args[0] for args, _ in calls]
        mattes = self._look(pictures)
        return [to_full_size(*pair) for pair in zip(pictures, mattes, strict=True)]

    def _look(self, pictures: Sequence[Rgb]) -> list[Float]:
        """Run the network: the matte of each square, 0..1."""
        tensor = torch.from_numpy(np.concatenate([self._input.tensor(rgb) for rgb in pictures]))
        device = self._module.device
        faster = torch.autocast(device.type, torch.float16) if self._half else nullcontext()
        with self._module.on_device() as network, faster:
            answer = network(tensor.to(device))
            logits = answer[-1] if isinstance(answer, list | tuple) else answer
            if logits.shape != (len(pictures), 1, *tensor.shape[2:]):
                raise BadWeightsError(f"{self._folder} gives {tuple(logits.shape)}, no matte")
            mattes = logits[:, 0].float().sigmoid().cpu().numpy()
        return [np.asarray(matte, np.float32) for matte in mattes]


def _load(folder: Path, allow_remote_code: bool) -> nn.Module:
    """Build the network by the folder's own code and give it the folder's weights, strictly.

    `from_pretrained` is of no use: transformers 5 expects of the class what the published code
    does not have, and a missing tensor is drawn at random there.
    """
    if not folder.is_dir():
        raise BadWeightsError(f"{folder} is no local folder")
    classes = _classes(folder)
    if not allow_remote_code:
        raise RemoteCodeError(f"{folder} brings code of its own, which its card does not allow")
    file = folder / "model.safetensors"
    state = read_state(file)
    with LOADING:
        network = _build(folder, classes)
        load_strictly(network, state, file)
    return network


def _classes(folder: Path) -> dict[str, str]:
    """Read which classes of the folder's own files are its configuration and its network."""
    file = folder / "config.json"
    try:
        named = json.loads(file.read_text())["auto_map"]
        classes = {task: str(named[task]) for task in ("AutoConfig", TASK)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadWeightsError(f"{file} names no code: {first_line(error)}") from error
    for name in classes.values():
        # `other/repository--file.Class` would fetch code that nobody has pinned.
        module, dot, made = name.partition(".")
        if not (dot and module.isidentifier() and made.isidentifier()):
            raise BadWeightsError(f"{file} names {name}, which is no class of a file beside it")
        if not (folder / f"{module}.py").is_file():
            raise BadWeightsError(f"{folder / module}.py is missing")
    return classes


def _build(folder: Path, classes: dict[str, str]) -> nn.Module:
    """Run the folder's code: the network, its weights still random."""
    try:
        config_class: Any = get_class_from_dynamic_module(
            classes["AutoConfig"], folder, local_files_only=True
        )
        network_class: Any = get_class_from_dynamic_module(
            classes[TASK], folder, local_files_only=True
        )
        config = config_class.from_pretrained(folder, local_files_only=True)
        network: nn.Module = network_class(config=config)
    except Exception as error:  # of code that we do not know
        raise BadWeightsError(f"the code in {folder} fails: {first_line(error)}") from error
    return network

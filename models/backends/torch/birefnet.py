"""Matting with BiRefNet and RMBG-2.0.

The code of the network is in the same repository as the weights. Only tested with a tiny network
with random weights: not with the published code and weights, and not on a GPU.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import nn
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from imaging.picture import Matte, Rgb
from models.backends.matting_input import Float, MattingInput, read_input, to_full_size
from models.backends.torch.checkpoints import load_strictly, read_state
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.weight_files import first_line
from models.device import DeviceConfig
from models.errors import BadWeightsError, RemoteCodeError
from models.processing import Infer, make_call

_MULTIPLE = 32  # the side of the networks' input must be a multiple of it
TASK = "AutoModelForImageSegmentation"
"""The key of the network's class in `config.json`."""


class BiRefNet:
    """Implements the role `models.roles.Matting`.

    Weights are float32 for every device configuration: the deformable convolutions do not support
    bfloat16 weights nor, in RMBG-2.0, float16. With one of these dtypes on a GPU, the network runs
    under float16 autocast.
    """

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig | None = None,
        *,
        allow_remote_code: bool = False,
        side: int | None = None,
    ) -> None:
        """Load a local folder in hub layout.

        allow_remote_code: whether the folder's code may run. transformers copies it to its modules
        cache, which must be writable. side: of the network's square input, a multiple of 32; by
        default from `preprocessor_config.json`, else 1024. Raises RemoteCodeError if the code may
        not run, BadWeightsError that names the file, and ValueError for a wrong side.
        """
        device_config = device_config or DeviceConfig()
        square = read_input(folder, side)
        if square.side % _MULTIPLE:
            raise ValueError(f"side {square.side} is not a multiple of {_MULTIPLE}")
        self._processing = partial(_matte, square)
        self._folder = folder
        self._module = DeviceModule(_load(folder, allow_remote_code), device_config, torch.float32)
        self._half = self._module.device.type == "cuda" and device_config.dtype != "float32"

    @classmethod
    def load(
        cls, paths: Sequence[Path], device_config: DeviceConfig, side: int | None = None
    ) -> Self:
        """Load the model of a card; paths: a repository in hub layout. The card pins its commit."""
        return cls(paths[0], device_config, allow_remote_code=True, side=side)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._module.networks()

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        matte: Matte = make_call(self, rgb)
        return matte

    @property
    def processing(self) -> Callable[..., Matte]:
        """The resizing and normalising around the network; see `models.processing`."""
        return self._processing

    def batch_key(self, square: Float) -> str:
        """Return one key for all inputs: they have one size."""
        return "matte"

    def infer(self, inputs: Sequence[Float]) -> list[Float]:
        """Run the network on normalised squares, 1 x 3 x side x side. Return mattes, side x side, 0..1."""
        tensor = torch.from_numpy(np.concatenate(inputs))
        device = self._module.device
        autocast = torch.autocast(device.type, torch.float16) if self._half else nullcontext()
        with self._module.on_device() as network, autocast:
            output = network(tensor.to(device))
            logits = output[-1] if isinstance(output, list | tuple) else output
            if logits.shape != (len(inputs), 1, *tensor.shape[2:]):
                raise BadWeightsError(
                    f"{self._folder} returns the shape {tuple(logits.shape)}, which is no matte"
                )
            mattes = logits[:, 0].float().sigmoid().cpu().numpy()
        return [np.asarray(matte, np.float32) for matte in mattes]


def _matte(square: MattingInput, infer: Infer, rgb: Rgb) -> Matte:
    return to_full_size(rgb, infer(square.tensor(rgb)))


def _load(folder: Path, allow_remote_code: bool) -> nn.Module:
    """Build the network with the folder's own code, and load the folder's weights strictly.

    `from_pretrained` does not work here: transformers 5 needs attributes of the class that the
    published code does not have, and it fills missing tensors with random numbers.
    """
    if not folder.is_dir():
        raise BadWeightsError(f"{folder} is not a local folder")
    classes = _classes(folder)
    if not allow_remote_code:
        raise RemoteCodeError(f"{folder} contains code of its own, which its card does not allow")
    file = folder / "model.safetensors"
    state = read_state(file)
    with LOADING:
        network = _build(folder, classes)
        load_strictly(network, state, file)
    return network


def _classes(folder: Path) -> dict[str, str]:
    """Return the classes of the configuration and the network, as `file.Class` in the folder."""
    file = folder / "config.json"
    try:
        auto_map = json.loads(file.read_text())["auto_map"]
        classes = {task: str(auto_map[task]) for task in ("AutoConfig", TASK)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadWeightsError(f"{file} names no code: {first_line(error)}") from error
    for name in classes.values():
        # `other/repository--file.Class` would download code without a pinned commit.
        module, dot, class_name = name.partition(".")
        if not (dot and module.isidentifier() and class_name.isidentifier()):
            raise BadWeightsError(
                f"{file} names {name}, which is no class of a file in the same folder"
            )
        if not (folder / f"{module}.py").is_file():
            raise BadWeightsError(f"{folder / module}.py is missing")
    return classes


def _build(folder: Path, classes: dict[str, str]) -> nn.Module:
    """Run the folder's code. Return the network with random weights."""
    try:
        config_class: Any = get_class_from_dynamic_module(
            classes["AutoConfig"], folder, local_files_only=True
        )
        network_class: Any = get_class_from_dynamic_module(
            classes[TASK], folder, local_files_only=True
        )
        config = config_class.from_pretrained(folder, local_files_only=True)
        network: nn.Module = network_class(config=config)
    except Exception as error:  # the folder's code can raise anything
        raise BadWeightsError(f"the code in {folder} fails: {first_line(error)}") from error
    return network

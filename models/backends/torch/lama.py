"""Inpainting with LaMa, a network that continues structure and texture into a hole without a prompt.

R. Suvorov et al., "Resolution-robust Large Mask Inpainting with Fourier Convolutions", WACV 2022.
Only tested with random weights: not with the published ones, and not on a GPU.
"""

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import cv2
import numpy as np
import torch
from spandrel import (
    MaskedImageModelDescriptor,
    ModelLoader,
    UnsupportedModelError,
    canonicalize_state_dict,
)
from torch import Tensor, nn

from imaging.inpaint.resynthesis import Layout, resynthesise
from imaging.masks import touched_blocks
from imaging.picture import Mask, Rgb, Window
from imaging.resize import block_means, resize
from imaging.windows import fill_by_windows, with_context
from models.backends.torch.checkpoints import read_state, read_torchscript
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.weight_files import check_file, first_line, only_file
from models.device import DeviceConfig
from models.errors import BadWeightsError, NothingToCopyError
from models.processing import Infer, make_call

_MULTIPLE, _LEAST = 8, 16  # the network's input has sides that are multiples of 8, at least 16
_PIXELS = 768 * 768
"""Largest number of pixels of a crop. It bounds memory, and keeps holes at a size that the network has learnt."""
_MARGIN = 128
PUBLISHED_SCRIPT = "344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9"
"""SHA-256 of the published archive, big-lama.pt: the only one whose code is run."""
_jit: Any = torch.jit
_FEW = 256  # with fewer source pixels in a reduced crop, there is no texture to copy


class Lama:
    """Implements the role `models.roles.Inpainting`.

    The network fills a crop around each group of holes. A larger crop is reduced and filled, and
    `imaging.inpaint.resynthesis` adds the full-size texture. Weights are float32 for every device
    configuration: Fourier transforms support only that for sizes that are not powers of two.
    """

    _scripts: ClassVar[frozenset[str] | None] = frozenset({PUBLISHED_SCRIPT})
    """SHA-256 of the TorchScript archives that are loaded; None: any."""

    def __init__(self, file: Path, device_config: DeviceConfig | None = None) -> None:
        """Load the published TorchScript archive (big-lama.pt), or plain weights of the same network.

        Raises BadWeightsError that names the file, also for any other archive: it contains code.
        """
        self._file = file
        check_file(file)
        with LOADING:
            network = self._load_script(file) if _is_script(file) else _load_plain(file)
        self._module = DeviceModule(network, device_config or DeviceConfig(), torch.float32)

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: one file, or its folder."""
        return cls(only_file(paths[0]), device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._module.networks()

    @classmethod
    def _load_script(cls, file: Path) -> nn.Module:
        if cls._scripts is not None and _digest(file) not in cls._scripts:
            raise BadWeightsError(
                f"{file} is a TorchScript archive, which contains code, and not the published one;"
                " save the weights alone, as safetensors or as a state dict"
            )
        return _Script(read_torchscript(file))

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill `hole`; see `models.roles.Inpainting`.

        The network may copy from everything that it sees. So the avoided pixels are hidden from it
        like the hole. They are filled too, but that part of the fill is not used.
        """
        filled: Rgb = make_call(self, rgb, hole, avoid)
        return filled

    @property
    def processing(self) -> Callable[..., Rgb]:
        """The crops around the hole, and the texture of large ones; see `models.processing`."""
        return _fill

    def infer(self, inputs: Sequence[tuple[Rgb, Mask]]) -> list[Rgb]:
        """Fill crops of any size, one after the other; of each its picture, and True where it is hidden."""
        return [self._run(rgb, hidden) for rgb, hidden in inputs]

    def _run(self, rgb: Rgb, hidden: Mask) -> Rgb:
        """Run the network on a crop of any size."""
        height, width = hidden.shape
        below, right = (
            max(_LEAST, -(-side // _MULTIPLE) * _MULTIPLE) - side for side in (height, width)
        )
        picture = np.pad(rgb, ((0, below), (0, right), (0, 0)), mode="symmetric")
        mask = np.pad(hidden, ((0, below), (0, right)), mode="symmetric")
        with self._module.on_device() as network:
            device = self._module.device
            pixels = torch.from_numpy(picture).to(device).permute(2, 0, 1)[None].float() / 255
            marked = torch.from_numpy(mask.astype(np.int64)).to(device)[None, None]
            filled: Tensor = network(pixels, marked)
            if filled.shape != pixels.shape:
                raise BadWeightsError(
                    f"{self._file} returns the shape {tuple(filled.shape)}, which is no picture"
                )
            levels = filled[0].permute(1, 2, 0).clamp(0, 1).mul(255).round().to(torch.uint8)
            return levels.cpu().numpy()[:height, :width].astype(np.uint8, copy=False)


def _fill(infer: Infer, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
    """Fill `hole`; see `Lama.fill`. infer: gets a crop's picture and what of it is hidden."""
    if not hole.any():
        return rgb.copy()
    hidden = hole if avoid is None else hole | avoid
    if hidden.all():
        raise NothingToCopyError("the hole leaves no pixel to continue from")

    def choose(part: Window) -> Window:
        longer = max(side.stop - side.start for side in part)
        return with_context(part, hidden, max(_MARGIN, longer))

    def fill(window: Window, own: Mask) -> Rgb:
        return _fill_crop(infer, np.ascontiguousarray(rgb[window]), own, hidden[window])

    return fill_by_windows(rgb, hole, choose, fill)


def _fill_crop(infer: Infer, rgb: Rgb, hole: Mask, hidden: Mask) -> Rgb:
    """Fill a crop, at a reduced size if it is large."""
    scale = int(np.ceil(np.sqrt(hole.size / _PIXELS)))
    if scale <= 1:
        return np.asarray(infer((rgb, hidden)), np.uint8)
    small = block_means(rgb, (scale, scale))
    small_hidden = touched_blocks(hidden, scale)
    filled = infer((small, small_hidden))
    # Blocks that extend beyond the crop contain padding.
    source = ~small_hidden
    source[hole.shape[0] // scale :] = False
    source[:, hole.shape[1] // scale :] = False
    if np.count_nonzero(source) < _FEW:
        rows, columns = (side * scale for side in small_hidden.shape)
        large = resize(filled, (columns, rows), cv2.INTER_LINEAR)
        return large[: hole.shape[0], : hole.shape[1]]
    return resynthesise(
        rgb, Layout(hole, ~hidden, filled, touched_blocks(hole, scale), source, scale)
    )


class TinyLama(Lama):
    """Loads the archive that `models.tiny.lama` makes."""

    _scripts = None


class _Script(nn.Module):
    """A TorchScript archive that takes pictures of 0..1 and integer masks.

    It runs without TorchScript's profiling, which would change the output until the third call.
    """

    def __init__(self, script: nn.Module) -> None:
        super().__init__()
        self.script = script

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        with _jit.optimized_execution(False):
            return cast(Tensor, self.script(picture, mask))


class _Plain(nn.Module):
    """spandrel's network, which takes masks of 0.0 and 1.0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, picture: Tensor, mask: Tensor) -> Tensor:
        return cast(Tensor, self.network(picture, mask.to(picture.dtype)))


def _is_script(file: Path) -> bool:
    """Whether a file is a TorchScript archive, which contains code, and not plain weights."""
    if not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return any("/code/" in name for name in archive.namelist())


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _load_plain(file: Path) -> nn.Module:
    """Build the network for plain weights. spandrel leaves it in training mode."""
    state: Mapping[str, Any] = canonicalize_state_dict(read_state(file))
    try:
        network = ModelLoader().load_from_state_dict(dict(state))
    except UnsupportedModelError as error:
        raise BadWeightsError(f"{file} has an architecture that spandrel does not know") from error
    except (RuntimeError, ValueError, KeyError, AssertionError, AttributeError) as error:
        raise BadWeightsError(f"{file} does not fit: {first_line(error)}") from error
    if not isinstance(network, MaskedImageModelDescriptor):
        raise BadWeightsError(f"{file} is not an inpainting network")
    return _Plain(network.model)

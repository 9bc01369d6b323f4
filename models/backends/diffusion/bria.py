"""The models of profile `bria`: BRIA 2.3, an SDXL model, with a ControlNet for each of four roles.

Where each fact comes from, and which are judgements: docs/decisions/0035-bria-as-it-is-published.md.
Nothing was run with the published weights, which are gated: tests use tiny models of the same classes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

from torch import nn

from imaging.compositing import over, seam
from imaging.masks import dilate_square, touched
from imaging.picture import Alpha, Mask, Rgb, Window
from imaging.resize import SizeRule, resize, working_size
from imaging.windows import fill_by_windows, with_context
from models.backends.diffusion.latent_control import LatentControl, Request, Schedule
from models.backends.diffusion.sdxl import prefill
from models.backends.diffusion.sdxl_pipeline import Guide
from models.backends.torch.lama import Lama, TinyLama
from models.device import DeviceConfig
from models.errors import BadWeightsError, NothingToCopyError, ReferenceUnsupportedError

_INPAINT = Schedule(slow=False, steps=12, guidance=1.2)
"""For fill, erasing and expansion."""
_FAST_SCENE = Schedule(slow=False, steps=8, guidance=1.0)
_FAST_GUIDED_SCENE = Schedule(slow=False, steps=8, guidance=1.2)
_SLOW_SCENE = Schedule(slow=True, steps=30, guidance=5.0)
_NOT_IN_FILLS = "blurry"
_NOT_IN_SCENES = "Logo,Watermark,Text,Ugly,Bad proportions,Bad quality,Out of frame,Mutation"
_BLACK = 0
_GREY = 127
_CANVAS_GREY = 128
_SEED = 0
_LEAST_MARGIN = 64
_LATENT = 8
"""Width and height, in pixels, of one latent of SDXL's VAE."""
_ERASE_PROMPT = ""
_ERASER = "controlnet_xl_eraser"


class BriaScene:
    """Implements the role `models.roles.SceneGeneration` with BRIA-2.3-ControlNet-BG-Gen."""

    def __init__(
        self,
        base: Path,
        controlnet: Path,
        slow: Path,
        device_config: DeviceConfig,
        image_prompt: Path | None = None,
    ) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, device_config, slow, image_prompt)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, BG-Gen, BRIA 2.3 itself, and optionally Image-Prompt."""
        return cls(paths[0], paths[1], paths[2], device_config, *paths[3:])

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

    def scenes(
        self,
        rgb: Rgb,
        alpha: Alpha,
        prompt: str,
        negative_prompt: str,
        seeds: Sequence[int],
        *,
        fast: bool = True,
        reference: Rgb | None = None,
        influence: float = 1.0,
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role.

        With fast=True there is guidance only where a negative prompt comes: it doubles the time. The
        negative prompt follows the standing one. Raises ReferenceUnsupportedError for a reference
        picture without an Image-Prompt.
        """
        guide = None if reference is None or influence == 0 else Guide(reference, influence)
        if guide is not None and not self._model.guided:
            raise ReferenceUnsupportedError("a reference picture needs Bria's Image-Prompt")
        subject = alpha > 0.5
        schedule = _SLOW_SCENE
        if fast:
            schedule = _FAST_GUIDED_SCENE if negative_prompt.strip() else _FAST_SCENE
        request = Request(
            control=_painted(rgb, ~subject, _BLACK),
            mask=subject,
            prompt=prompt,
            negative_prompt=_joined(_NOT_IN_SCENES, negative_prompt),
            schedule=schedule,
            guide=guide,
        )
        return self._model.generate(request, seeds)


class BriaFill:
    """Implements the role `models.roles.GenerativeFill` with BRIA-2.3-ControlNet-Generative-Fill.

    It is best with holes of more than 15 % of the picture, so crops should be tight.
    """

    def __init__(self, base: Path, controlnet: Path, device_config: DeviceConfig) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, device_config)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, the ControlNet."""
        return cls(paths[0], paths[1], device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

    def fill_by_prompt(
        self, rgb: Rgb, hole: Mask, prompt: str, negative_prompt: str, seeds: Sequence[int]
    ) -> list[Rgb]:
        """Return one picture for each seed; see the role."""
        return self._model.generate(_inpainting(rgb, hole, _GREY, prompt, negative_prompt), seeds)


class BriaExpand:
    """Implements the role `models.roles.Outpainting` with the ControlNet of briaai/Expansion."""

    def __init__(self, base: Path, controlnet: Path, device_config: DeviceConfig) -> None:
        """Load the model; the arguments are those of `LatentControl`."""
        self._model = LatentControl(base, controlnet, device_config)
        self.sizes: SizeRule = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, the repository of the ControlNet.

        The public description of that repository names the eraser's folder, not the folder of the
        ControlNet for expansion. So it is the one other folder `controlnet*`, or the eraser's if it
        is alone. Raises BadWeightsError, which names the folders, if there are several others.
        """
        folders = sorted(one.parent for one in paths[1].glob("controlnet*/config.json"))
        others = [folder for folder in folders if folder.name != _ERASER]
        if len(others or folders) != 1:
            names = ", ".join(folder.name for folder in folders) or "none"
            raise BadWeightsError(
                f"{paths[1]}: of its ControlNets ({names}) one must be for expansion;"
                " leave out the folders of the others"
            )
        return cls(paths[0], (others or folders)[0], device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._model.networks()

    def outpaint(
        self, canvas: Rgb, hole: Mask, prompt: str, negative_prompt: str, seed: int
    ) -> Rgb:
        """Return the canvas with its hole generated; see the role."""
        if not hole.any():
            return canvas.copy()
        request = _inpainting(canvas, hole, _CANVAS_GREY, prompt, negative_prompt)
        return self._model.generate(request, [seed])[0]


class BriaErase:
    """Implements the role `models.roles.Inpainting` with briaai/erase.

    LaMa fills the hole coarsely. The ControlNet "eraser" generates it anew, from that fill.
    """

    _coarse: ClassVar[type[Lama]] = Lama

    def __init__(
        self, base: Path, controlnet: Path, lama: Path, device_config: DeviceConfig
    ) -> None:
        """Load the model. lama: the file of LaMa, or its folder; the others are those of `LatentControl`."""
        self._lama = self._coarse.load([lama], device_config)
        self._model = LatentControl(base, controlnet, device_config)
        self._sizes = self._model.sizes

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: the base, the repository with the eraser, LaMa."""
        return cls(paths[0], paths[1] / _ERASER, paths[2], device_config)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return [*self._lama.networks(), *self._model.networks()]

    def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
        """Fill the hole in a crop around it, at the model's size; see the role.

        Avoided pixels are hidden from both models like the hole, so that they cannot continue or
        repeat them. Only the pixels of the hole are used from the result. Raises NothingToCopyError.
        """
        if not hole.any():
            return rgb.copy()
        hidden = hole if avoid is None else hole | avoid
        if hidden.all():
            raise NothingToCopyError("the hole leaves no pixel to continue from")
        coarse = self._lama.fill(rgb, hidden)

        def choose(part: Window) -> Window:
            half = max((side.stop - side.start) // 2 for side in part)
            return with_context(part, hidden, max(_LEAST_MARGIN, half))

        def fill(window: Window, own: Mask) -> Rgb:
            return over(self._refined(coarse[window], hidden[window]), seam(own), rgb[window])

        return fill_by_windows(rgb, hole, choose, fill)

    def _refined(self, coarse: Rgb, hidden: Mask) -> Rgb:
        """Return a part of a picture at its own size, with new pixels where `hidden` is True."""
        size = working_size(coarse.shape[1], coarse.shape[0], self._sizes)
        small = resize(coarse, size)
        request = Request(
            # LaMa's fill instead of grey: else nothing of it would reach the ControlNet.
            control=small,
            # Every touched pixel counts: nearest neighbour would lose a thin hole.
            mask=_grown(touched(hidden, size)),
            prompt=_ERASE_PROMPT,
            negative_prompt=_NOT_IN_FILLS,
            schedule=_INPAINT,
            known=small,
            begun=True,
        )
        made = self._model.generate(request, [_SEED])[0]
        return resize(made, (coarse.shape[1], coarse.shape[0]))


class TinyBriaErase(BriaErase):
    """Loads the tiny LaMa of `models.tiny.lama`."""

    _coarse = TinyLama


def _inpainting(rgb: Rgb, hole: Mask, grey: int, prompt: str, negative_prompt: str) -> Request:
    """Return the request to generate a hole, which the ControlNet sees painted grey.

    The known picture has the hole filled from its border: the VAE looks a little beyond the border,
    and the old pixels must not reach the result.
    """
    grown = _grown(hole)
    return Request(
        control=_painted(rgb, grown, grey),
        mask=grown,
        prompt=prompt,
        negative_prompt=_joined(_NOT_IN_FILLS, negative_prompt),
        schedule=_INPAINT,
        known=prefill(rgb, hole),
    )


def _joined(standing: str, own: str) -> str:
    """Return a standing negative prompt, followed by the caller's."""
    return f"{standing}, {own}" if own.strip() else standing


def _grown(hole: Mask) -> Mask:
    """Grow a hole by half a latent's width, so that the mask at the latents' size contains all of it.

    Else a grey line of the control could be outside the mask, and the model would keep it.
    """
    return dilate_square(hole, _LATENT // 2)


def _painted(rgb: Rgb, where: Mask, level: int) -> Rgb:
    """Return the picture with one grey level, 0..255, where the mask is True."""
    out = rgb.copy()
    out[where] = level
    return out

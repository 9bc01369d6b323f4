"""What happens when a model runs out of memory: once more, at a smaller batch or size, then a clear error.

Torch is not imported here: a profile without it has nothing to run out of but main memory.
"""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.picture import Alpha, Labels, Mask, Matte, Rgb
from models.errors import ModelOutOfMemoryError
from models.roles import Face, SizeRule

log = logging.getLogger("retouch.memory")

_OVERLAP = 32
"""Pixels that the two halves of an enlarged picture share on each side of the cut."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a GPU or here, itself or by its cause."""
    torch = sys.modules.get("torch")
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else (MemoryError,)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kinds):
            return True
        if isinstance(seen, RuntimeError) and "can't allocate memory" in str(seen):
            return True  # torch's allocator for main memory has no error class of its own
        seen = seen.__cause__
    return False


class RetryOnOutOfMemory:
    """A model whose calls are tried once more, smaller, when memory runs out.

    Many seeds are then done one by one, which gives the same pictures; else the call is made at half
    the width and height and its result enlarged, so that it is less sharp. When memory runs out again
    ModelOutOfMemoryError is raised. Other attributes are the model's own.
    """

    def __init__(self, model: Any, name: str, make_room: Callable[[], None]) -> None:
        """Wrap `model`; make_room: called between the two tries, frees what can be freed."""
        self._model = model
        self._name = name
        self._make_room = make_room

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._model, attribute)
        smaller = _SMALLER.get(attribute)
        if smaller is None:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return found(*args, **kwargs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback would keep the first try's tensors alive.
            log.warning("%s ran out of memory; it is tried once more, smaller", self._name)
            self._make_room()
            try:
                return smaller(found, getattr(self._model, "sizes", None), *args, **kwargs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                text = f"{self._name} needs more memory for this picture than there is"
            self._make_room()
            raise ModelOutOfMemoryError(text)

        return call


def _half(rgb: NDArray[Any], sizes: SizeRule | None) -> tuple[int, int]:
    """Give half of a picture's width and height, kept to what the model takes."""
    multiple, least = (sizes.multiple, sizes.least) if sizes else (1, 1)
    height, width = (
        min(side, max(least, side // 2 // multiple * multiple, multiple)) for side in rgb.shape[:2]
    )
    return width, height


def _shrink(array: NDArray[Any], size: tuple[int, int]) -> Any:
    if array.dtype == np.bool_:  # any touched pixel stays touched
        return cv2.resize(array.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


def _enlarge(array: NDArray[Any], like: NDArray[Any], how: int = cv2.INTER_CUBIC) -> Any:
    return cv2.resize(array, like.shape[1::-1], interpolation=how)


def _matte(method: Any, _: SizeRule | None, rgb: Rgb) -> Matte:
    matte: Matte = _enlarge(method(_shrink(rgb, _half(rgb, None))), rgb, cv2.INTER_LINEAR)
    return matte


def _fill(method: Any, _: SizeRule | None, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
    size = _half(rgb, None)
    small = method(
        _shrink(rgb, size), _shrink(hole, size), None if avoid is None else _shrink(avoid, size)
    )
    return np.where(hole[..., None], _enlarge(small, rgb), rgb)


def _segment(method: Any, _: SizeRule | None, rgb: Rgb) -> Labels:
    labels: Labels = _enlarge(method(_shrink(rgb, _half(rgb, None))), rgb, cv2.INTER_NEAREST)
    return labels


def _look(method: Any, _: SizeRule | None, rgb: Rgb) -> Any:
    return method(_shrink(rgb, _half(rgb, None)))


def _upscale(method: Any, _: SizeRule | None, rgb: Rgb, factor: int) -> Rgb:
    """Enlarge two halves, cut across the longer side, and join them."""
    if rgb.shape[0] < rgb.shape[1]:
        turned = _upscale(
            lambda part, by: method(part.swapaxes(0, 1).copy(), by).swapaxes(0, 1),
            None,
            rgb.swapaxes(0, 1),
            factor,
        )
        return np.ascontiguousarray(turned.swapaxes(0, 1))
    middle = rgb.shape[0] // 2
    above = method(rgb[: middle + _OVERLAP].copy(), factor)[: middle * factor]
    first = max(0, middle - _OVERLAP)
    below = method(rgb[first:].copy(), factor)[(middle - first) * factor :]
    return np.concatenate([above, below])


def _fill_by_prompt(
    method: Any,
    sizes: SizeRule | None,
    rgb: Rgb,
    hole: Mask,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
) -> list[Rgb]:
    if len(seeds) > 1:
        return [method(rgb, hole, prompt, negative_prompt, [seed])[0] for seed in seeds]
    size = _half(rgb, sizes)
    small = method(_shrink(rgb, size), _shrink(hole, size), prompt, negative_prompt, seeds)
    return [_enlarge(picture, rgb) for picture in small]


def _scenes(
    method: Any,
    sizes: SizeRule | None,
    rgb: Rgb,
    alpha: Alpha,
    prompt: str,
    negative_prompt: str,
    seeds: Sequence[int],
    **options: Any,
) -> list[Rgb]:
    if len(seeds) > 1:
        return [method(rgb, alpha, prompt, negative_prompt, [seed], **options)[0] for seed in seeds]
    size = _half(rgb, sizes)
    small = method(
        _shrink(rgb, size), _shrink(alpha, size), prompt, negative_prompt, seeds, **options
    )
    return [_enlarge(picture, rgb) for picture in small]


def _outpaint(
    method: Any,
    sizes: SizeRule | None,
    canvas: Rgb,
    hole: Mask,
    prompt: str,
    negative_prompt: str,
    seed: int,
) -> Rgb:
    size = _half(canvas, sizes)
    small = method(_shrink(canvas, size), _shrink(hole, size), prompt, negative_prompt, seed)
    picture: Rgb = _enlarge(small, canvas)
    return picture


def _edit_face(
    method: Any,
    sizes: SizeRule | None,
    rgb: Rgb,
    face: Face,
    actions: Mapping[str, str | float],
    seed: int,
) -> tuple[Rgb, Alpha]:
    size = _half(rgb, sizes)
    x, y = size[0] / rgb.shape[1], size[1] / rgb.shape[0]
    left, top, width, height = face.rect
    nearer = replace(
        face,
        rect=(left * x, top * y, width * x, height * y),
        landmarks=face.landmarks * np.array([x, y], np.float32),
    )
    picture, alpha = method(_shrink(rgb, size), nearer, actions, seed)
    return _enlarge(picture, rgb), _enlarge(alpha, rgb, cv2.INTER_LINEAR)


_SMALLER: dict[str, Callable[..., Any]] = {
    "matte": _matte,
    "fill": _fill,
    "segment": _segment,
    "caption": _look,
    "score": _look,
    "upscale": _upscale,
    "fill_by_prompt": _fill_by_prompt,
    "scenes": _scenes,
    "outpaint": _outpaint,
    "edit_face": _edit_face,
}
"""Each role's method and how it is done with less memory."""

"""What a request is expected to cost, from its fields and the headers of its pictures alone.

The constants are those of `scripts/hardening/memory_of_requests.py` with profile `lite`, rounded up: its
table has each case beside its estimate. What a generative model takes on its device is not part of them
(RETOUCH_MEMORY_MB bounds that), only the pictures around it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imaging.files.header import Probe
from imaging.shadows import reach
from pipelines.common.colours import find_colour
from pipelines.common.placement_geometry import MAX_CANVAS_AREA
from pipelines.common.resolution import ORIGINAL, RESOLUTIONS
from pipelines.enhance import enhanced_size
from pipelines.errors import PipelineError
from pipelines.product_packshot import SIDE
from pipelines.product_shadow import MAX_AREA
from server.http.uploads import Encoded
from server.operation import Operation, RequestBody

_MEBIBYTE = 2**20
_MEGAPIXEL = 1_000_000
_ALPHA = 4.0
"""Further bytes for each pixel of a picture with alpha."""
_SECONDS_PER_SCAN = 0.02
"""To decode one megapixel, once for each scan of a JPEG."""

ResultPixels = Callable[[Any, Probe], float]
"""Returns the pixels of a request's largest result, from its body and its image's header."""


@dataclass(frozen=True)
class Cost:
    """Expected cost. seconds: of one processor. memory: the peak in bytes, its files included."""

    seconds: float
    memory: int


@dataclass(frozen=True)
class Footprint:
    """What an operation takes, besides decoding.

    fixed: MiB for a picture of any size. image, result: bytes for each pixel of the image and of the
    largest result. seconds, seconds_per_megapixel: of one processor, in all and for each megapixel of the
    image and of the results. result_pixels: of the largest result. seconds_per_result: what a model takes for
    each. held: returns the bytes for each pixel of each further result, from the body; 0 if they are made one
    after another, or are one picture.
    """

    fixed: float
    image: float
    seconds: float
    seconds_per_megapixel: float
    result: float = 0
    result_pixels: ResultPixels = lambda body, probe: 0
    seconds_per_result: float = 0
    held: Callable[[Any], float] = lambda body: 0


def estimate(operation: Operation[Any], body: RequestBody, pictures: Mapping[str, Encoded]) -> Cost:
    """Return the expected cost of a request. body: validated. pictures: after `Operation.check`.

    The memory is at least the peak, and at most about one and a half times as much. The seconds are for
    comparing requests: how long they take depends on the processor.
    """
    footprint, count = FOOTPRINTS[operation.key], max(1, operation.count(body))
    image = pictures.get("image")
    result = footprint.result_pixels(body, image.probe) if image else 4 * _MEGAPIXEL
    decoded = sum(_pixels(p.probe) for p in pictures.values() if not p.is_mask)
    masks = [_pixels(p.probe) for p in pictures.values() if p.is_mask]
    alpha = sum(_ALPHA * _pixels(p.probe) for p in pictures.values() if p.probe.alpha)
    # One mask at a time: as it is stored, and at the size of the image.
    work = footprint.image * decoded + footprint.result * result + alpha + 2 * max(masks, default=0)
    work += footprint.held(body) * (count - 1) * result
    peak = max(work, _decoding_peak(pictures))
    megapixels = (decoded + count * result) / _MEGAPIXEL
    seconds = footprint.seconds + footprint.seconds_per_megapixel * megapixels
    return Cost(
        seconds + footprint.seconds_per_result * count + _decoding_seconds(pictures),
        round(footprint.fixed * _MEBIBYTE + peak) + _file_bytes(pictures),
    )


def decoding(pictures: Mapping[str, Encoded]) -> Cost:
    """Return the expected cost of decoding pictures, as checks and queries of visuals do."""
    memory = 16 * _MEBIBYTE + round(_decoding_peak(pictures)) + _file_bytes(pictures)
    return Cost(0.05 + _decoding_seconds(pictures), memory)


def _file_bytes(pictures: Mapping[str, Encoded]) -> int:
    return sum(len(encoded.data) for encoded in pictures.values())


def _decoding_seconds(pictures: Mapping[str, Encoded]) -> float:
    passes = sum(_pixels(p.probe) * p.probe.scans for p in pictures.values())
    return _SECONDS_PER_SCAN * passes / _MEGAPIXEL


def _pixels(probe: Probe) -> int:
    return probe.width * probe.height


def _decoding_peak(pictures: Mapping[str, Encoded]) -> float:
    """Return the bytes at the peak of decoding pictures one after another; all but masks stay."""
    peak = held = 0.0
    for encoded in sorted(pictures.values(), key=lambda one: one.is_mask):
        size = _pixels(encoded.probe)
        peak = max(peak, held + _decoder_bytes(encoded.probe) * size)
        held += 0 if encoded.is_mask else (4 if encoded.probe.alpha else 3) * size
    return peak


def _decoder_bytes(probe: Probe) -> float:
    """Return the bytes for each pixel that a decoder takes at most, its result included.

    A JPEG with several scans is kept as coefficients, two bytes for each sample of up to four components
    (libjpeg's `jdcoefct.c`). Samples of 16 bits, CMYK and profiles are converted in a second array.
    """
    if probe.format == "JPEG":
        return (10 if probe.scans == 1 else 16) + (4 if probe.mode == "CMYK" else 0)
    if probe.format == "WEBP":
        return 12
    return 20 if probe.depth > 8 else 11


def _same(_: Any, probe: Probe) -> float:
    return _pixels(probe)


def _one_megapixel(body: Any, probe: Probe) -> float:
    """Return the pixels of a result that keeps the picture's size only if `original_quality` asks for that."""
    return _pixels(probe) if body.original_quality else _MEGAPIXEL


def _one_large(body: Any, probe: Probe) -> float:
    """Return the pixels of the largest picture that a model makes of words."""
    return 4 * _MEGAPIXEL


def _named(body: Any, probe: Probe) -> float:
    """Return the pixels of a result of `desired_resolution`, and of the picture that it is made from."""
    name = body.desired_resolution
    width, height = (0, 0) if name == ORIGINAL else RESOLUTIONS[name]
    return _pixels(probe) + width * height


def _canvas(body: Any, probe: Probe) -> float:
    width, height = body.layout((probe.width, probe.height)).canvas_size
    return float(width * height)


def _enlarged(body: Any, probe: Probe) -> float:
    return float(_pixels(probe) * body.desired_increase**2)


def _enhanced(body: Any, probe: Probe) -> float:
    width, height = enhanced_size(probe.width, probe.height, getattr(body, "resolution", None))
    return float(width * height)


def _padded(body: Any, probe: Probe) -> float:
    padding = getattr(body, "padding", 0)
    return float((probe.width + 2 * padding) * (probe.height + 2 * padding))


def _packshot(body: Any, probe: Probe) -> float:
    return float(SIDE * SIDE)


def _with_shadow(body: Any, probe: Probe) -> float:
    right, down = reach(body.style.shape, (probe.width, probe.height))
    return float(min(MAX_AREA, (probe.width + 2 * right) * (probe.height + 2 * down)))


def _scenes(body: Any) -> float:
    """Return the bytes for each pixel of further scenes; on a colour all results are one picture."""
    prompt = getattr(body, "bg_prompt", getattr(body, "prompt", ""))
    return 3 if find_colour(prompt) is None else 0


def _shot(body: Any, probe: Probe) -> float:
    """Return the pixels of one lifestyle shot, and half of the product's; shots are made one after another."""
    if body.placement_type == "original":
        return _one_megapixel(body, probe)
    try:
        layouts = body.layouts((probe.width, probe.height))
    except PipelineError:  # the product may be smaller than its picture; the work finds out
        return _pixels(probe) / 2 + MAX_CANVAS_AREA
    return float(
        _pixels(probe) / 2 + max(one.canvas_size[0] * one.canvas_size[1] for one in layouts)
    )


_CUT_OUT = Footprint(18, 10.5, 0.8, 0.06)
_CROP = Footprint(18, 9, 0.8, 0.06, 6.5, _padded)
_REPLACE = Footprint(18, 9, 0.8, 0.04, 4, _one_megapixel, 0, _scenes)
_BLUR = Footprint(20, 18, 0.8, 0.06)
_ERASE = Footprint(44, 25, 2.0, 0.25)
_ERASE_FOREGROUND = Footprint(44, 27, 3.0, 0.45)
_EXPAND = Footprint(44, 6, 3.0, 2.0, 25, _canvas)
_ENLARGE = Footprint(44, 6, 0.5, 2.0, 12, _enlarged)
_ENHANCE = Footprint(44, 6, 0.5, 2.0, 16, _enhanced)
_SEGMENT = Footprint(44, 30, 1.5, 0.5)
_SHOT = Footprint(18, 9, 0.8, 0.06, 14, _shot)
_BY_WORDS = Footprint(64, 16, 1, 0.1, 12, _same, 30, lambda body: 3)
"""Of routes that a generative model does; their pictures are at the model's size or the image's."""
_FROM_WORDS = Footprint(96, 12, 1, 0.1, 12, _one_large, 30, lambda body: 3)
"""Of routes whose results have a model's size, whatever they are made from."""
_WORDS_ALONE = Footprint(32, 12, 10, 0.1)

FOOTPRINTS: Mapping[str, Footprint] = {
    "/eraser": _ERASE,
    "/gen_fill": _BY_WORDS,
    "/background/remove": _CUT_OUT,
    "/background/replace": _REPLACE,
    "/erase_foreground": _ERASE_FOREGROUND,
    "/background/blur": _BLUR,
    "/image_expansion": _EXPAND,
    "/image/increase_resolution": _ENLARGE,
    "/enhance_image": _ENHANCE,
    "/{visual_id}/image_to_psd": Footprint(24, 38, 2.0, 1.3),
    "/crop": _CROP,
    "/product/lifestyle_shot_by_text": _SHOT,
    "/product/lifestyle_shot_by_image": _SHOT,
    "/objects/mask_generator": _SEGMENT,
    "/{visual_id}/objects/mask_generator": _SEGMENT,
    "/{visual_id}/objects/remove": Footprint(44, 24, 2.0, 0.25, 7, _named),
    "/{visual_id}/create": Footprint(64, 24, 5.0, 0.3, 7, _named),
    "/product/cutout": _CROP,
    "/product/packshot": Footprint(18, 15.5, 0.8, 0.06, 14, _packshot),
    "/product/shadow": Footprint(20, 13, 1.0, 0.08, 13, _with_shadow),
    "/{visual_id}/increase_resolution": _ENLARGE,
    "/{visual_id}/blur_bg": _BLUR,
    "/text-to-image/base/{model_version}": _FROM_WORDS,
    "/text-to-image/fast/{model_version}": _FROM_WORDS,
    "/text-to-image/hd/{model_version}": _FROM_WORDS,
    "/prompt_enhancer": _WORDS_ALONE,
    "/v2/image/edit/erase": _ERASE,
    "/v2/image/edit/gen_fill": _BY_WORDS,
    "/v2/image/edit/remove_background": _CUT_OUT,
    "/v2/image/edit/replace_background": _REPLACE,
    "/v2/image/edit/erase_foreground": _ERASE_FOREGROUND,
    "/v2/image/edit/blur_background": _BLUR,
    "/v2/image/edit/expand": _EXPAND,
    "/v2/image/edit/increase_resolution": _ENLARGE,
    "/v2/image/edit/crop_foreground": _CROP,
    "/v2/image/edit/enhance": _ENHANCE,
    "/v2/image/segment/all_masks": _SEGMENT,
    "/v2/image/edit/product/cutout": _CROP,
    "/v2/image/edit": _BY_WORDS,
    "/v2/structured_instruction/generate": _WORDS_ALONE,
    "/v2/image/generate": _FROM_WORDS,
    "/v2/image/generate/lite": _FROM_WORDS,
    "/v2/structured_prompt/generate": _WORDS_ALONE,
    "/v2/structured_prompt/generate/lite": _WORDS_ALONE,
    "/v2/image/edit/add_object_by_text": _BY_WORDS,
    "/v2/image/edit/replace_object_by_text": _BY_WORDS,
    "/v2/image/edit/erase_by_text": _BY_WORDS,
    "/v2/image/edit/blend": _BY_WORDS,
    "/v2/image/edit/rewrite_text": _BY_WORDS,
    "/v2/image/edit/reseason": _BY_WORDS,
    "/v2/image/edit/relight": _BY_WORDS,
    "/v2/image/edit/restyle": _BY_WORDS,
    "/v2/image/edit/colorize": _BY_WORDS,
    "/v2/image/edit/sketch_to_colored_image": _BY_WORDS,
    "/v2/image/edit/restore": _BY_WORDS,
    "/v2/image/edit/product/integrate": _BY_WORDS,
    "/v2/image/edit/product/holding": _BY_WORDS,
    "/v2/image/edit/product/virtual-tryon": _BY_WORDS,
}
"""By the key of each operation."""

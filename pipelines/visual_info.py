"""Describe a visual: one entry for each person, each object and the background."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor

from imaging.label_map import label_boxes, mask_members, part_areas, select
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, resize_labels, within_area
from models.roles import INPAINTING, Face, Models
from pipelines.common.detection_labels import labels_by_detection
from pipelines.common.subject import subject_share
from pipelines.common.subject_parts import faces_of, with_faces
from pipelines.person_info import people

Entry = dict[str, object]
"""A dictionary with the keys `actions`, `id`, `labels`, `oracle`, `rect` and `type`, like an entry of
person/info."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels; right and bottom are exclusive."""

_SAMPLE_PIXELS = 65_536
"""Pixels of the reduced copy on which colours are measured."""
_LARGE_SHARE = 0.1
"""An object that covers a larger share of the picture leaves a hole that is hard to fill."""
_MAX_SOFT_SHARE = 0.1
"""A matte with a larger share of partly transparent pixels is not reliable."""
_MAIN_COLOURS = 4
_MIN_NAMED_SHARE = 0.2
"""A colour is named if it covers at least this share of the background."""
_MAX_PLAIN_DEVIATION = 12.0
"""A background is plain up to this standard deviation of its colours, in CIELAB units."""


def info(
    picture: Picture, models: Models, visual_id: str, labels_map: NDArray[np.uint8]
) -> list[Entry]:
    """Return every entry of a visual: people, then objects, then the background.

    labels_map: height x width, uint8, the id of the mask at each pixel, 0 for no mask.
    """
    persons = people(picture.rgb, models, visual_id)
    things = _entries(picture.rgb, labels_map, models, [person.face for person in persons])
    alpha = subject_share(picture, models)
    return [*(person.as_json() for person in persons), *things, *background(picture.rgb, alpha)]


def objects(rgb: Rgb, labels_map: NDArray[np.uint8], models: Models) -> list[Entry]:
    """Return an entry for each mask of a panoptic map, in ascending order of the ids.

    labels_map: height x width, uint8, the id of the mask at each pixel, 0 for no mask. `id` is the
    mask's id as text; `rect` is its bounding box. `labels` holds the name of the object that has this
    box, if the profile has a model that detects objects, else "person" for a mask with a face (if it
    consists of several parts, of parts with faces alone); then the CSS names nearest to its main
    colours. A profile that cannot fill holes offers no action. The oracle depends on the object's
    size: "low" for a large one.
    """
    return _entries(rgb, labels_map, models, faces_of(rgb, models) if labels_map.any() else [])


def _entries(
    rgb: Rgb, labels_map: NDArray[np.uint8], models: Models, faces: Sequence[Face]
) -> list[Entry]:
    """Return the entries of `objects`; faces: those of the picture."""
    persons = with_faces(labels_map, faces)
    areas, boxes = part_areas(labels_map), label_boxes(labels_map)
    colours = _main_colours(rgb, labels_map)
    members = mask_members(labels_map)
    around = {mask: _around([boxes[part] for part in parts]) for mask, parts in members.items()}
    names = labels_by_detection(around, labels_map.shape, rgb, models)
    return [
        _entry(
            mask_id,
            can_remove=models.offers(INPAINTING),
            labels=[
                *(names.get(mask_id) or ["person"] * persons.issuperset(parts)),
                *colours[mask_id],
            ],
            share=float(areas[list(parts)].sum() / labels_map.size),
            box=around[mask_id],
        )
        for mask_id, parts in members.items()
    ]


def _entry(mask_id: int, can_remove: bool, labels: list[str], share: float, box: Box) -> Entry:
    """Return the entry of one mask. share: of the picture's area."""
    return {
        "actions": {"remove": [True]} if can_remove else {},
        "id": str(mask_id),
        "labels": labels,
        "oracle": {"remove": {"remove": _removal_rating(share)}} if can_remove else {},
        "rect": _as_rect(*box),
        "type": "object",
    }


def _around(boxes: Sequence[Box]) -> Box:
    """Return the smallest box around others."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


def _main_colours(rgb: Rgb, labels_map: NDArray[np.uint8]) -> dict[int, list[str]]:
    """Return the names of the main colours of each mask, the most common first, from a reduced copy."""
    size = within_area(rgb.shape[1], rgb.shape[0], _SAMPLE_PIXELS)
    small, labels = resize(rgb, size), resize_labels(labels_map, size)
    masks = {
        number: select(labels, parts) > 0 for number, parts in mask_members(labels_map).items()
    }
    return {
        number: _colour_names(small[mask]) if mask.any() else [] for number, mask in masks.items()
    }


def _removal_rating(share: float) -> str:
    """Return how well the removal of an object is likely to work. share: of the picture, 0..1."""
    return "low" if share > _LARGE_SHARE else "high"


def background(rgb: Rgb, alpha: Alpha8) -> list[Entry]:
    """Return the entry of the background; an empty list if the subject covers the whole picture.

    rgb: height x width x 3, uint8. alpha: the subject's opacity, height x width, 0..255; the
    background is where it is below 128. `labels` holds "plain" or "textured", the mean colour as
    #rrggbb, then the CSS names nearest to the main colours. The oracle is "low" if many pixels of
    `alpha` are partly transparent.
    """
    mask = (alpha < 128).view(np.uint8)
    if cv2.countNonZero(mask) == 0:
        return []
    x, y, width, height = cv2.boundingRect(mask)
    soft = np.count_nonzero((alpha > 25) & (alpha < 230)) / alpha.size
    rating = "low" if soft > _MAX_SOFT_SHARE else "high"
    actions: dict[str, list[object]] = {
        "blur": [1, 2, 3, 4, 5],
        "remove": [True],
        "replace": [True],
    }
    return [
        {
            "actions": actions,
            "id": "background",
            "labels": _appearance(rgb, mask),
            "oracle": {name: {name: rating} for name in actions},
            "rect": _as_rect(x, y, x + width, y + height),
            "type": "background",
        }
    ]


def _as_rect(left: int, top: int, right: int, bottom: int) -> dict[str, float]:
    """Return a box as the API writes it; right and bottom are exclusive."""
    return {"h": float(bottom - top), "w": float(right - left), "x": float(left), "y": float(top)}


def _appearance(rgb: Rgb, mask: NDArray[np.uint8]) -> list[str]:
    """Return the labels of the part of a picture where `mask` is 1."""
    colours, weights = _sample(rgb, mask)
    lab = _lab(colours)
    centre = weights @ lab / weights.sum()
    deviation = math.sqrt(weights @ ((lab - centre) ** 2).sum(axis=1) / weights.sum())
    red, green, blue = (round(float(value)) for value in weights @ colours / weights.sum())
    texture = "plain" if deviation <= _MAX_PLAIN_DEVIATION else "textured"
    return [texture, f"#{red:02x}{green:02x}{blue:02x}", *_colour_names(colours)]


def _sample(rgb: Rgb, mask: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return at most _SAMPLE_PIXELS colours of the masked part, n x 3, and the weight of each, n."""
    size = within_area(rgb.shape[1], rgb.shape[0], _SAMPLE_PIXELS)
    # The subject is made black first; otherwise its colours would mix into the pixels beside it.
    masked = resize(np.asarray(cv2.copyTo(rgb, mask), np.uint8), size)
    coverage = resize(mask * np.uint8(255), size)
    # A pixel that the mask covers only a little has a colour that is mostly rounding error, so it
    # is left out. If no pixel is covered well, the best covered ones are used.
    covered = coverage >= min(128, int(coverage.max()))
    weights = coverage[covered].astype(np.float32) / 255
    colours = np.rint(masked[covered] / np.maximum(weights, 1 / 255)[:, None]).clip(0, 255)
    return colours.astype(np.uint8), np.maximum(weights, np.float32(1 / 255))


def _colour_names(colours: NDArray[np.uint8]) -> list[str]:
    """Return the CSS names nearest to the main colours, the most common first."""
    names = list(ImageColor.colormap)
    palette = _lab(np.array([ImageColor.getrgb(name)[:3] for name in names], np.uint8))
    quantized = Image.fromarray(colours[None]).quantize(_MAIN_COLOURS, Image.Quantize.MEDIANCUT)
    counts = np.bincount(np.asarray(quantized).ravel())
    main = _lab(np.array(quantized.getpalette(), np.uint8).reshape(-1, 3)[: len(counts)])
    shares: dict[str, float] = {}
    for colour, count in zip(main, counts, strict=True):
        name = names[int(((palette - colour) ** 2).sum(axis=1).argmin())]
        shares[name] = shares.get(name, 0) + float(count / len(colours))
    return sorted((n for n in shares if shares[n] >= _MIN_NAMED_SHARE), key=lambda n: -shares[n])


def _lab(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return sRGB colours, n x 3, uint8, in CIELAB: L 0..100, a and b about -100..100."""
    scaled = colours[None].astype(np.float32) / np.float32(255)
    lab: NDArray[np.float32] = cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    return lab

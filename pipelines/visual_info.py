"""What can be told of a visual: its people, its objects and its background, one entry for each."""

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor
from scipy import ndimage

from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import resize, within_area
from models.roles import Models
from pipelines.common.subject import subject_alpha
from pipelines.person_info import people

Entry = dict[str, object]
"""Has `actions`, `id`, `labels`, `oracle`, `rect` and `type`, as the entries of person/info."""

_PIXELS = 65_536
"""Pixels of the copy that colours are measured on."""
_LARGE = 0.1
"""Above this share of the picture a removed object leaves a hole that is hard to fill."""
_SOFT = 0.1
"""A matte with a larger share of half-transparent pixels is unsure of its subject."""
_MAIN_COLOURS = 4
_NAMED_SHARE = 0.2
"""The least share of the background that a colour must have to be named."""
_PLAIN = 12.0
"""The largest standard deviation of a plain background's colours, in CIELAB units."""


def info(
    picture: Picture, models: Models, visual_id: str, labels_map: NDArray[np.uint8]
) -> list[Entry]:
    """Return every entry of a visual: people, then objects, then the background.

    labels_map: height x width, the id of the mask at each pixel, 0 for none.
    """
    persons = [person.as_json() for person in people(picture.rgb, models, visual_id)]
    alpha = subject_alpha(picture, models)
    return [*persons, *objects(labels_map), *background(picture.rgb, alpha)]


def objects(labels_map: NDArray[np.uint8]) -> list[Entry]:
    """Return an entry for each mask of a panoptic map (height x width, 0 for none), by rising id.

    `id` is the mask's, as text; `rect` bounds it. What the object is cannot be told: no labels. The
    oracle follows from the object's size.
    """
    return [
        {
            "actions": {"remove": [True]},
            "id": str(mask_id),
            "labels": [],
            "oracle": {"remove": {"remove": "low" if count > _LARGE * labels_map.size else "high"}},
            "rect": _as_rect(x.start, y.start, x.stop, y.stop),
            "type": "object",
        }
        for mask_id, count, (y, x) in _found(labels_map)
    ]


def _found(labels_map: NDArray[np.uint8]) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """Yield each id in a map, how many pixels it has, and its rows and columns."""
    counts = cv2.calcHist([labels_map], [0], None, [256], [0, 256]).ravel()
    for mask_id, place in enumerate(ndimage.find_objects(labels_map), start=1):
        if place is not None:
            yield mask_id, int(counts[mask_id]), place


def background(rgb: Rgb, alpha: Alpha8) -> list[Entry]:
    """Return the entry of the background, none where the subject (alpha) covers all.

    labels: "plain" or "textured", the mean colour as #rrggbb, then the CSS names nearest to its
    main colours. The oracle follows from how sure the matte is.
    """
    behind = (alpha < 128).view(np.uint8)
    if cv2.countNonZero(behind) == 0:
        return []
    x, y, width, height = cv2.boundingRect(behind)
    soft = np.count_nonzero((alpha > 25) & (alpha < 230)) / alpha.size
    prospect = "low" if soft > _SOFT else "high"
    actions: dict[str, list[object]] = {
        "blur": [1, 2, 3, 4, 5],
        "remove": [True],
        "replace": [True],
    }
    return [
        {
            "actions": actions,
            "id": "background",
            "labels": _look(rgb, behind),
            "oracle": {name: {name: prospect} for name in actions},
            "rect": _as_rect(x, y, x + width, y + height),
            "type": "background",
        }
    ]


def _as_rect(left: int, top: int, right: int, bottom: int) -> dict[str, float]:
    """Return a box in the wire's shape; right and bottom lie beyond it."""
    return {"h": float(bottom - top), "w": float(right - left), "x": float(left), "y": float(top)}


def _look(rgb: Rgb, behind: NDArray[np.uint8]) -> list[str]:
    """Return how the part of a picture looks where `behind` is 1."""
    colours, weights = _sample(rgb, behind)
    lab = _lab(colours)
    centre = weights @ lab / weights.sum()
    deviation = math.sqrt(weights @ ((lab - centre) ** 2).sum(axis=1) / weights.sum())
    red, green, blue = (round(float(value)) for value in weights @ colours / weights.sum())
    texture = "plain" if deviation <= _PLAIN else "textured"
    return [texture, f"#{red:02x}{green:02x}{blue:02x}", *_names(colours)]


def _sample(rgb: Rgb, behind: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return at most _PIXELS colours of what is behind, n x 3, and how much of it each stands for."""
    size = within_area(rgb.shape[1], rgb.shape[0], _PIXELS)
    # The subject is blacked out first, or its colours would mix into those beside it.
    seen = resize(np.asarray(cv2.copyTo(rgb, behind), np.uint8), size)
    share = resize(behind * np.uint8(255), size)
    # Where little of a pixel is behind, its colour would be mostly rounding; where all are so, the
    # background is a few specks and any will do.
    kept = share >= min(128, int(share.max()))
    weights = share[kept].astype(np.float32) / 255
    colours = np.rint(seen[kept] / np.maximum(weights, 1 / 255)[:, None]).clip(0, 255)
    return colours.astype(np.uint8), np.maximum(weights, np.float32(1 / 255))


def _names(colours: NDArray[np.uint8]) -> list[str]:
    """Return the CSS names nearest to the main colours, the commonest first."""
    names = list(ImageColor.colormap)
    palette = _lab(np.array([ImageColor.getrgb(name)[:3] for name in names], np.uint8))
    few = Image.fromarray(colours[None]).quantize(_MAIN_COLOURS, Image.Quantize.MEDIANCUT)
    counts = np.bincount(np.asarray(few).ravel())
    main = _lab(np.array(few.getpalette(), np.uint8).reshape(-1, 3)[: len(counts)])
    shares: dict[str, float] = {}
    for colour, count in zip(main, counts, strict=True):
        name = names[int(((palette - colour) ** 2).sum(axis=1).argmin())]
        shares[name] = shares.get(name, 0) + float(count / len(colours))
    return sorted((n for n in shares if shares[n] >= _NAMED_SHARE), key=lambda n: -shares[n])


def _lab(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return sRGB colours, n x 3, in CIELAB: 0..100, and about -100..100 twice."""
    scaled = colours[None].astype(np.float32) / np.float32(255)
    lab: NDArray[np.float32] = cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0].astype(np.float32)
    return lab

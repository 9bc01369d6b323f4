"""Counts the people and animals that one mask picks, against boxes drawn by hand (`things.json`)."""

import json
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np
from PIL import Image

from imaging.picture import Mask, Picture, Rgb
from models.roles import Models
from pipelines.objects_mask_generator import masks_zip, objects_mask_generator
from scripts.quality_measures.boxes import Box, pairs, scaled
from scripts.quality_measures.figures import Values
from scripts.quality_measures.photographs import Half, half_of, limited
from scripts.quality_measures.run import Run

MARKS = Path(__file__).with_name("things.json")
LEVELS = (0.5, 0.7)
"""The intersections over union, of boxes, from which a mask picks a thing."""


def found_masks(rgb: Rgb, models: Models) -> list[Mask]:
    """Return the masks of objects/mask_generator, read from the zip that callers get."""
    labels = objects_mask_generator(Picture(rgb), models)
    with ZipFile(BytesIO(masks_zip(labels, "picture"))) as archive:
        names = [name for name in archive.namelist() if not name.endswith("_panoptic.png")]
        return [np.asarray(Image.open(archive.open(name))) > 127 for name in names]


def box_of(mask: Mask) -> Box:
    """Return the box around all that a mask marks; zeros if it marks nothing."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return x, y, width, height


def picked(masks: Sequence[Mask], drawn: Sequence[Box], least: float) -> int:
    """Return how many drawn boxes have a mask of their own, by the boxes' intersection over union."""
    return len(pairs([box_of(mask) for mask in masks], drawn, least))


def measure_masks(run: Run) -> dict[Half, Values]:
    """Return, for each half, how many people and animals can be picked by one mask."""
    totals: dict[Half, Values] = {}
    marks: dict[str, list[Box]] = json.loads(MARKS.read_text())
    for name, drawn in marks.items():
        half = half_of(name)
        if name not in run.photos or not run.wants(name, half):
            continue
        rgb, scale = limited(run.photos.read(name))
        masks = found_masks(rgb, run.models)
        boxes = [scaled(box, scale) for box in drawn]
        values = {"photographs": 1.0, "people and animals": len(drawn), "masks": len(masks)}
        values |= {f"picked at {least} IoU": picked(masks, boxes, least) for least in LEVELS}
        print(f"  {half:6} {name}: {values}", file=sys.stderr)
        total = totals.setdefault(half, {})
        for key, value in values.items():
            total[key] = total.get(key, 0) + value
    return totals

"""Erases holes at known places (`holes.json`), scores the fills, and looks for copied faces and logos."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from imaging.picture import Mask, Picture, Rgb
from pipelines.eraser import eraser
from scripts.quality_measures.boxes import Box, scaled
from scripts.quality_measures.faces import MARKS as FACES
from scripts.quality_measures.figures import Values
from scripts.quality_measures.fills import bad_fills, cloned, fill_score
from scripts.quality_measures.photographs import Half, half_of, limited
from scripts.quality_measures.run import Run

HOLES = Path(__file__).with_name("holes.json")
_TELEA_RADIUS = 5


@dataclass(frozen=True)
class Hole:
    """A hole in a photograph, and the boxes of its faces and logos; all at the size of `rgb`."""

    name: str
    half: Half
    rgb: Rgb
    mask: Mask
    marked: Sequence[Box]


def holes(run: Run) -> Iterator[Hole]:
    """Yield the holes: ellipses in photographs of at most 1024 pixels; with `quick`, one a photograph.

    In a folder of other photographs each has one hole, in its middle.
    """
    table = json.loads(HOLES.read_text())
    if not any(name in run.photos for name in table["holes"]):
        table["holes"] = dict.fromkeys(run.photos.names)
    faces = json.loads(FACES.read_text())["faces"]
    for name, boxes in table["holes"].items():
        half = half_of(name)
        if name not in run.photos or not run.wants(name, half):
            continue
        rgb, scale = limited(run.photos.read(name))
        boxes = boxes or [_in_the_middle(rgb, scale)]
        marked = [*faces.get(name, []), *table["logos"].get(name, [])]
        marked = [scaled(box, scale) for box in marked]
        for number, box in enumerate(boxes[: 1 if run.quick else None]):
            mask = ellipse(scaled(box, scale), rgb.shape)
            yield Hole(f"{name}-{number}", half, rgb, mask, marked)


def ellipse(box: Box, shape: Sequence[int]) -> Mask:
    """Return the mask of an ellipse in a box."""
    x, y, width, height = box
    mask = np.zeros(shape[:2], np.uint8)
    centre = round(x + width / 2), round(y + height / 2)
    return cv2.ellipse(mask, centre, (round(width / 2), round(height / 2)), 0, 0, 360, 1, -1) > 0


def _in_the_middle(rgb: Rgb, scale: float) -> Box:
    """Return a box in the middle, a sixth of each side, in pixels of the photograph before scaling."""
    height, width = (side / scale for side in rgb.shape[:2])
    return width * 5 / 12, height * 5 / 12, width / 6, height / 6


def measure_holes(run: Run) -> dict[Half, Values]:
    """Return, for each half, the mean score of the fills, Telea's beside it, and the copies found."""
    rows: dict[Half, list[Values]] = {}
    for hole in holes(run):
        mask = hole.mask.astype(np.uint8) * 255
        filled = eraser(Picture(hole.rgb), mask, run.models).rgb
        telea = np.asarray(cv2.inpaint(hole.rgb, mask, _TELEA_RADIUS, cv2.INPAINT_TELEA), np.uint8)
        score = fill_score(filled, hole.mask, hole.marked)
        bad = {name: fill_score(fill, hole.mask, hole.marked) for name, fill in _bad(hole)}
        row = {
            "holes": 1.0,
            "score": score,
            "Telea: score": fill_score(telea, hole.mask, hole.marked),
            "faces or logos cloned": float(cloned(filled, hole.mask, hole.marked)),
            "bad fills": len(bad),
            "bad fills ranked last": sum(worse > score for worse in bad.values()),
        }
        rows.setdefault(hole.half, []).append(row)
        said = " ".join(f"{name} {value:.2f}" for name, value in bad.items())
        print(
            f"  {hole.half:6} {hole.name}: {score:.2f} cloned {row['faces or logos cloned']:.0f};"
            f" Telea {row['Telea: score']:.2f} {said}",
            file=sys.stderr,
        )
        if run.look is not None:
            outlined = np.where(hole.mask[..., None], np.uint8(255), hole.rgb)
            panels = np.hstack((hole.rgb, outlined, filled))
            cv2.imwrite(str(run.look / f"hole-{hole.half}-{hole.name}.jpg"), panels[..., ::-1])
    return {half: _totals(its) for half, its in rows.items()}


def _bad(hole: Hole) -> Iterator[tuple[str, Rgb]]:
    return bad_fills(hole.rgb, hole.mask, hole.marked)


def _totals(rows: Sequence[Values]) -> Values:
    """Return sums; scores are means, and the bad fills ranked last become a share."""
    sums = {key: sum(row[key] for row in rows) for key in rows[0]}
    sums["score"] /= len(rows)
    sums["Telea: score"] /= len(rows)
    sums["bad fills ranked last"] /= sums.pop("bad fills")
    return sums

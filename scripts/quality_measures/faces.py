"""Counts the faces that are found, missed and invented, against boxes that a person has checked.

`faces.json` lists the faces of each photograph, none for photographs of animals and things. Its "unclear"
regions hold blurred spectators and a head seen from behind: a face found there is neither right nor wrong.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from models.roles import FACE_ANALYSIS
from scripts.quality_measures.boxes import Box, centre_within, pairs
from scripts.quality_measures.figures import Values
from scripts.quality_measures.photographs import Half, half_of
from scripts.quality_measures.run import Run

MARKS = Path(__file__).with_name("faces.json")
SMALL = 32
"""Faces that are narrower, in pixels, are counted apart."""
_LEAST_IOU = 0.3
"""Detectors draw boxes differently: some from the brow, some with the hair."""


@dataclass(frozen=True)
class FaceCount:
    """Faces of some photographs; the small ones apart, invented ones of any size."""

    drawn: int = 0
    found: int = 0
    small_drawn: int = 0
    small_found: int = 0
    invented: int = 0

    def __add__(self, other: "FaceCount") -> "FaceCount":
        return FaceCount(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


def face_count(found: Sequence[Box], drawn: Sequence[Box], unclear: Sequence[Box]) -> FaceCount:
    """Count the found boxes of one photograph against the drawn ones."""
    paired = pairs(found, drawn, _LEAST_IOU)
    small = [index for index, box in enumerate(drawn) if box[2] < SMALL]
    small_found = sum(index in paired for index in small)
    alone = [box for number, box in enumerate(found) if number not in paired.values()]
    return FaceCount(
        drawn=len(drawn) - len(small),
        found=len(paired) - small_found,
        small_drawn=len(small),
        small_found=small_found,
        invented=sum(not any(centre_within(box, region) for region in unclear) for box in alone),
    )


def measure_faces(run: Run) -> dict[Half, Values]:
    """Return the counts of each half."""
    marks = json.loads(MARKS.read_text())
    counts: dict[Half, FaceCount] = {}
    for name, drawn in marks["faces"].items():
        half = half_of(name)
        if name not in run.photos or not run.wants(name, half):
            continue
        with run.models.use(FACE_ANALYSIS) as analysis:
            found = [face.rect for face in analysis.analyse(run.photos.read(name))]
        count = face_count(found, drawn, marks["unclear"].get(name, []))
        print(f"  {half:6} {name}: {count}", file=sys.stderr)
        counts[half] = counts.get(half, FaceCount()) + count
    return {half: _values(count) for half, count in counts.items()}


def _values(count: FaceCount) -> Values:
    return {
        "faces": count.drawn,
        "found": count.found,
        "invented": count.invented,
        "faces under 32 px": count.small_drawn,
        "of these found": count.small_found,
    }

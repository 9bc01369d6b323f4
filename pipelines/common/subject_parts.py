"""Divide the subject of a picture into its people, animals and things, by what touches and by faces."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.geodesic import geodesic_distances
from imaging.inpaint.nearest import fill_from_nearest
from imaging.label_edges import enlarge_labels, sharpen_edges
from imaging.label_map import MAX_PARTS, by_area
from imaging.picture import Labels, Mask, Rgb
from imaging.resize import resize, within_side
from models.roles import FACE_ANALYSIS, Face, Models

_SIDE, _FINE_SIDE = 384, 1024
"""Pixels of the longer side at which the subject is divided, and at which the edges are found again."""
_MOST_FACES = 64
_LEAST_THING, _LEAST_PERSON = 0.02, 0.002
"""Least share of the subject for a part without a face, and for one with a face."""
_LEAST_AREA = 0.001  # of the picture, for every part
_SPECK_REACH = 0.03
"""How far from a part, as a share of the longer side, a piece too small to be a part belongs to it."""
_NO_PART = MAX_PARTS
_MOST_PIECES = 256
"""Connected pieces that are looked at, the largest: each is a mask of the coarse picture."""
_LEAST_BEYOND = 0.15
"""Least share of a connected piece of the subject for a thing that touches people."""
_BEYOND_UNIT = 2.0
"""Ways from what is beyond people are longer than those from faces by up to this factor."""
_EDGE_COST, _OUTSIDE_COST = 60.0, 30.0
"""Costs of ways: at an edge, and through what is not subject, which is left only at a gap."""

# A person seen from the front, in widths and heights of the face's box. A face is a tenth of a person.
_HEAD = 0.6, 0.75
_CHEST_HALF, _CHEST_END, _CHEST_SLOPE = 0.45, 5.0, 0.35
_TO_THE_SIDES, _UPWARDS, _DOWNWARDS = 5.5, 2.0, 11.0
_OF_A_BODY = 2.0
"""How far below a face, to each side, a loose piece is taken for that person's."""
_MOST_OF_A_BODY = 0.5
"""Largest area of a loose piece, as a share of that person's."""


def faces_of(rgb: Rgb, models: Models) -> list[Face]:
    """Return the faces of a picture; an empty list if the profile has no face analysis."""
    if not models.offers(FACE_ANALYSIS):
        return []
    with models.use(FACE_ANALYSIS) as analysis:
        return analysis.analyse(rgb, attributes=False)


def with_faces(labels: Labels, faces: Sequence[Face]) -> frozenset[int]:
    """Return the numbers of the parts that hold a face: most of the middle of its box. 0 is never one."""
    numbers = set()
    for face in faces:
        x, y, width, height = face.rect
        rows, columns = (
            slice(max(0, int(start + side / 4)), max(0, int(start + 3 * side / 4) + 1))
            for start, side in ((y, height), (x, width))
        )
        counts = np.bincount(labels[rows, columns].ravel(), minlength=1)
        if 2 * counts.max() > counts.sum():
            numbers.add(int(counts.argmax()))
    return frozenset(numbers - {0})


def subject_parts(rgb: Rgb, subject: Mask, faces: Sequence[Face]) -> Labels:
    """Return the parts of a subject: height x width, uint8, from 1, the largest first, 0 outside.

    Pieces that do not touch are parts of their own if they are large enough. A piece with several faces
    is divided among them: each pixel belongs to the face from which the way to it, over the head and the
    chest and across few edges, is shortest. What is too far from every face, such as a bus behind
    pedestrians, is a part too. A speck far from every part belongs to none.

    rgb: height x width x 3, uint8. faces: in its pixels; those that are not in the subject, and all but
    the 64 first, are left out.
    """
    height, width = subject.shape
    size = within_side(width, height, _SIDE)
    small = resize(subject.astype(np.uint8) * np.uint8(255), size) > 127
    people = [_Person.of(face, size[0] / width) for face in faces[:_MOST_FACES]]
    people = [person for person in people if person.is_in(small)]
    parts = _keep_large(_divide(resize(rgb, size), small, people), small)
    if len(np.unique(parts[small])) < 2:
        return subject.astype(np.uint8)
    return by_area(_at_full_size(rgb, subject, parts))


@dataclass(frozen=True)
class _Person:
    """A person, known by the face: its centre and size, in pixels of the coarse picture."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def of(cls, face: Face, scale: float) -> Self:
        x, y, width, height = (side * scale for side in face.rect)
        return cls(x + width / 2, y + height / 2, max(width, 1.0), max(height, 1.0))

    @property
    def scale(self) -> float:
        """Return the side of a square of the face's area."""
        return float(np.sqrt(self.width * self.height))

    def is_in(self, subject: Mask) -> bool:
        """Whether more than half of the head is subject."""
        return bool(subject[self.head(subject.shape)].sum() * 2 > self.head(subject.shape).sum())

    def head(self, shape: tuple[int, ...]) -> Mask:
        """Return the head, an ellipse; empty if the face is outside of the picture."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        across, down = _HEAD[0] * self.width, _HEAD[1] * self.height
        inside: Mask = ((x - self.x) / across) ** 2 + ((y - self.y) / down) ** 2 <= 1
        return inside

    def starts(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Return at which length ways to the person start: 0 in the head, more down the chest."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        down = y - self.y
        chest = (
            (abs(x - self.x) <= _CHEST_HALF * self.width)
            & (down >= 0)
            & (down <= _CHEST_END * self.height)
        )
        lengths = np.where(chest, _CHEST_SLOPE * down, np.inf)
        return np.where(self.head(shape), 0, lengths).astype(np.float32)

    def reach(self, shape: tuple[int, ...]) -> Mask:
        """Return the box that the person can fill with arms and legs stretched out."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        near: Mask = (
            (abs(x - self.x) <= _TO_THE_SIDES * self.scale)
            & (y >= self.y - _UPWARDS * self.scale)
            & (y <= self.y + _DOWNWARDS * self.scale)
        )
        return near

    def is_above(self, piece: Mask) -> bool:
        """Whether a loose piece is where the body of this person is: below the face."""
        y, x = (float(np.median(axis)) for axis in np.nonzero(piece))
        return (
            abs(x - self.x) <= _OF_A_BODY * self.scale
            and self.y < y <= self.y + _DOWNWARDS * self.scale
        )


def _divide(rgb: Rgb, subject: Mask, people: Sequence[_Person]) -> tuple[list[Mask], list[Mask]]:
    """Return the people of a subject, in the order of `people`, and its other parts."""
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(subject.view(np.uint8), connectivity=8)
    heads = [numbers[person.head(subject.shape) & subject] for person in people]
    homes = np.array([np.bincount(head).argmax() for head in heads], np.int64)
    bodies = [np.zeros_like(subject) for _ in people]
    things: list[Mask] = []
    areas = stats[:, cv2.CC_STAT_AREA]
    # Confetti has thousands of pieces, and each is a mask: only the largest can be parts.
    largest = 1 + np.argsort(-areas[1:], kind="stable")[:_MOST_PIECES]
    for number in sorted({*largest.tolist(), *homes[homes > 0].tolist()}):
        owners = np.flatnonzero(homes == number)
        if not owners.size:
            things.append(numbers == number)
            continue
        shares, beyond = _share_out(rgb, numbers == number, [people[int(i)] for i in owners])
        for i, share in zip(owners, shares, strict=True):
            bodies[i] = share
        things += beyond
    return _with_loose_pieces(people, bodies, things)


def _share_out(rgb: Rgb, piece: Mask, people: Sequence[_Person]) -> tuple[list[Mask], list[Mask]]:
    """Divide a connected piece among its people; return their shares, and the things beyond them."""
    far = piece & ~np.any([person.reach(piece.shape) for person in people], axis=0)
    if len(people) == 1 and np.count_nonzero(far) < _LEAST_BEYOND * np.count_nonzero(piece):
        return [piece], []
    distances = _distances(rgb, piece, people, far)
    least = _LEAST_BEYOND * np.count_nonzero(piece)
    beyond = list(_connected(piece & (np.argmin(distances, axis=0) == len(people)), least))
    left = piece & ~np.any([piece & False, *beyond], axis=0)
    nearest = np.argmin(distances[:-1], axis=0)
    return [left & (nearest == i) for i in range(len(people))], beyond


def _distances(rgb: Rgb, piece: Mask, people: Sequence[_Person], far: Mask) -> NDArray[np.float32]:
    """Return the length of the ways from each person and, as the last, from what is far from all.

    It is measured in faces of the person, so that a near, large one is as likely as a far, small one.
    """
    starts = np.stack([person.starts(piece.shape) for person in people])
    heads = np.stack([person.head(piece.shape) for person in people])
    starts[~heads & heads.any(axis=0)] = np.inf  # a head in front of someone else's chest
    starts = np.concatenate([starts, np.where(far, 0, np.inf).astype(np.float32)[None]])
    starts[:, ~piece] = np.inf
    barrier = np.where(piece, 0, _OUTSIDE_COST).astype(np.float32)
    distances = geodesic_distances(rgb, starts, _EDGE_COST, barrier)
    scales = [person.scale for person in people]
    units = np.array([*scales, _BEYOND_UNIT * np.median(scales)], np.float32)
    return distances / units[:, None, None]


def _connected(mask: Mask, least: float) -> Iterator[Mask]:
    """Yield the connected pieces of a mask of at least `least` pixels."""
    count, numbers, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    for number in range(1, count):
        if stats[number, cv2.CC_STAT_AREA] >= least:
            yield numbers == number


def _with_loose_pieces(
    people: Sequence[_Person], bodies: list[Mask], things: Sequence[Mask]
) -> tuple[list[Mask], list[Mask]]:
    """Return bodies and things, after small things below a face have joined that person's body.

    The matte often loses the hips of someone, so that the legs are a piece of their own.
    """
    areas = [np.count_nonzero(body) for body in bodies]
    others = []
    for thing in things:
        area = np.count_nonzero(thing)
        owners = [
            i
            for i, person in enumerate(people)
            if area <= _MOST_OF_A_BODY * areas[i] and person.is_above(thing)
        ]
        if owners:
            nearest = min(owners, key=lambda i: _gap(bodies[i], thing))
            bodies[nearest] = bodies[nearest] | thing
        else:
            others.append(thing)
    return bodies, others


def _gap(one: Mask, other: Mask) -> float:
    """Return the distance of two masks in pixels."""
    away = cv2.distanceTransform((~one).view(np.uint8), cv2.DIST_L2, 5)
    return float(away[other].min())


def _keep_large(parts: tuple[list[Mask], list[Mask]], subject: Mask) -> Labels:
    """Return the large parts as labels from 1.

    The pixels of small ones join the nearest part within reach; the others become _NO_PART.
    """
    labels = np.zeros(subject.shape, np.uint8)
    whole = np.count_nonzero(subject)
    number = 0
    for masks, share in zip(parts, (_LEAST_PERSON, _LEAST_THING), strict=True):
        least = max(share * whole, _LEAST_AREA * subject.size)
        for mask in sorted(masks, key=lambda mask: -np.count_nonzero(mask)):
            if np.count_nonzero(mask) >= least and number < _NO_PART - 1:
                number += 1
                labels[mask] = number
    if number:
        reach = _SPECK_REACH * max(subject.shape)
        labels = fill_from_nearest(labels, labels > 0, subject & (labels == 0), reach)
    labels[subject & (labels == 0)] = _NO_PART
    return labels


def _at_full_size(rgb: Rgb, subject: Mask, parts: Labels) -> Labels:
    """Return the parts at the size of `rgb`; the edges between them follow those of the picture."""
    height, width = subject.shape
    everywhere = fill_from_nearest(parts, parts > 0)
    fine = sharpen_edges(resize(rgb, within_side(width, height, _FINE_SIDE)), everywhere)
    large = enlarge_labels(fine, (width, height))
    return np.where(subject & (large != _NO_PART), large, 0).astype(np.uint8)

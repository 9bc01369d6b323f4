"""Remove objects, selected by mask id or drawn by hand, all in one fill."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from imaging.label_map import mask_members, select
from imaging.masks import fit_mask, grow
from imaging.picture import Labels, Mask, Picture
from imaging.resize import Size
from models.roles import Models
from pipelines.eraser import eraser
from pipelines.errors import NoSuchMaskError


def objects_remove(
    picture: Picture,
    models: Models,
    labels: Labels | None = None,
    mask_ids: Sequence[int] = (),
    drawn: Iterable[NDArray[np.uint8]] = (),
) -> Picture:
    """Remove the selected objects from `picture` and fill their places.

    labels: the panoptic map of the visual, height x width, uint8; scaled by nearest neighbour if
    `picture` is an edited version of another size. mask_ids: from 1; these masks follow the
    object's edge, so they are grown. drawn: as in `union_of_drawn`; these masks are not grown.
    All holes are filled at once, so that no removed object is copied into the hole of another. Where
    a person is removed, the others of the subject are not copied either, if there is anything else.
    Raises NoSuchMaskError, MaskRatioError and NothingToCopyError.
    """
    hole = np.zeros((picture.height, picture.width), np.bool_)
    if mask_ids:
        hole |= grow(_union(labels, mask_ids, picture), "automatic")
    union = union_of_drawn(drawn, (picture.width, picture.height))
    if union is not None:
        hole |= union
    others = _others(labels, mask_ids, picture)
    return eraser(picture, hole.view(np.uint8) * np.uint8(255), models, "manual", others)


def union_of_drawn(masks: Iterable[NDArray[np.uint8]], size: Size) -> Mask | None:
    """Return what any of the masks marks, at `size` (width and height); None without a mask.

    masks: height x width, uint8, above 127 is marked. They are read one by one. Raises MaskRatioError.
    """
    union: Mask | None = None
    for mask in masks:
        fitted = fit_mask(mask, *size)
        union = fitted if union is None else np.logical_or(union, fitted, out=union)
    return union


def _others(labels: Labels | None, mask_ids: Sequence[int], picture: Picture) -> Mask | None:
    """Return the rest of the subject of which some parts are removed; None if there is no such rest."""
    members = {} if labels is None else mask_members(labels)
    removed = {part for mask_id in mask_ids for part in members[mask_id]}
    whole = max(members.values(), key=len, default=())
    others = [part for part in whole if part not in removed]
    if labels is None or len(whole) < 2 or not removed.intersection(whole) or not others:
        return None
    return grow(fit_mask(select(labels, others), picture.width, picture.height), "automatic")


def _union(labels: Labels | None, mask_ids: Sequence[int], picture: Picture) -> Mask:
    """Return the union of the masks of `mask_ids` at the size of `picture`; True is to remove."""
    members = {} if labels is None else mask_members(labels)
    missing = next((mask_id for mask_id in mask_ids if mask_id not in members), None)
    if labels is None or missing is not None:
        raise NoSuchMaskError(f"there is no mask {missing}")
    parts = [part for mask_id in mask_ids for part in members[mask_id]]
    return fit_mask(select(labels, parts), picture.width, picture.height)

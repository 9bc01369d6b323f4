"""Removal of objects, chosen by their mask's id or drawn by hand, all in one fill."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.masks import fit_mask, grow
from imaging.picture import Labels, Mask, Picture
from models.roles import Models
from pipelines.eraser import eraser
from pipelines.errors import NoSuchMaskError


def objects_remove(
    picture: Picture,
    models: Models,
    labels: Labels | None = None,
    mask_ids: Sequence[int] = (),
    drawn: Sequence[NDArray[np.uint8]] = (),
) -> Picture:
    """Fill where the chosen objects are.

    labels: the panoptic map of the visual, scaled by nearest neighbour when `picture` is an edited
    version of another size. mask_ids: from 1; such masks run along the object's edge, and grow.
    drawn: masks as `eraser` takes them, taken as they are. All are filled at once, so that none
    lends its texture to another's hole. Raises NoSuchMaskError, MaskRatioError and NothingToCopyError.
    """
    hole = np.zeros((picture.height, picture.width), np.bool_)
    if mask_ids:
        hole |= grow(_generated(labels, mask_ids, picture), "automatic")
    for mask in drawn:
        hole |= fit_mask(mask, picture.width, picture.height)
    return eraser(picture, hole.astype(np.uint8) * np.uint8(255), models, "manual")


def _generated(labels: Labels | None, mask_ids: Sequence[int], picture: Picture) -> Mask:
    """Unite the masks of `mask_ids` at the size of `picture`."""
    most = 0 if labels is None else int(labels.max(initial=0))
    missing = next((mask_id for mask_id in mask_ids if not 1 <= mask_id <= most), None)
    if labels is None or missing is not None:
        raise NoSuchMaskError(f"there is no mask {missing}")
    chosen = np.zeros(256, np.uint8)
    chosen[list(mask_ids)] = 255
    return fit_mask(cv2.LUT(labels, chosen).astype(np.uint8), picture.width, picture.height)

"""Masks are decoded one by one: many are never in memory together."""

from collections.abc import Mapping

import numpy as np
import pytest

from imaging.files.header import probe
from imaging.picture import Picture
from server.errors import BadRequestError
from server.http.uploads import Encoded
from server.jobs.picture_files import DecodedMasks
from tests.helpers.requests import mask

IMAGE = Picture(np.zeros((240, 320, 3), np.uint8))


def sent(*files: bytes) -> Mapping[str, Encoded]:
    """Return masks as a request has them."""
    return {
        f"mask {n}": Encoded(data, probe(data), True, f"changes.{n}.mask_url")
        for n, data in enumerate(files)
    }


def test_of_several_masks_one_is_decoded_at_a_time() -> None:
    masks = DecodedMasks(sent(mask(), mask(), mask()), IMAGE)
    first = masks["mask 0"]
    assert masks["mask 0"] is first, "a mask that is read again is decoded once"
    assert [one.shape for one in masks.values()] == [(240, 320)] * 3
    assert masks["mask 0"] is not first, "the others replaced it"
    assert "mask 3" not in masks
    assert masks.get("mask") is None


def test_a_damaged_mask_is_refused_by_its_field_when_it_is_read() -> None:
    masks = DecodedMasks(sent(mask(), mask()[:-60]), IMAGE)
    with pytest.raises(BadRequestError, match=r"changes\.1\.mask_url"):
        list(masks.values())

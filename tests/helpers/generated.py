"""Requests of the generative routes, and a way to read their results."""

import io
from typing import Any

import numpy as np
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.answers import local
from tests.helpers.requests import b64, encode, mask, noise, photo

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def pixels(client: TestClient, link: str) -> Pixels:
    """Return the pixels of a result."""
    answer = client.get(local(link))
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def hole() -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the hole that `tests.helpers.requests.mask` draws, True inside."""
    marked = np.zeros((240, 320), bool)
    marked[60:-60, 80:-80] = True
    return marked


FILL = {"file": b64(photo()), "mask_file": b64(mask()), "prompt": "a red kite", "sync": True}


def cut_out() -> bytes:
    """Return a picture with an alpha channel that marks its subject."""
    alpha = np.zeros((240, 320), np.uint8)
    alpha[60:180, 100:220] = 255
    return encode(Image.fromarray(np.dstack([noise(320, 240), alpha])))

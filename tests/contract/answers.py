"""Checks of published answers: their shapes, and the files behind their links."""

import io
import re
import time
import zipfile
from typing import Any

import httpx2 as httpx
from PIL import Image

from tests.contract.api import Api
from tests.contract.route import LINK, SEEDS, TEXT, TEXT_OR_NULL, WHOLE


def links_of(value: Any, shape: Any) -> list[str]:
    """Check an answer against its documented shape; return the links in it."""
    if shape == LINK:
        assert re.match(r"https?://", value), value
        return [value]
    if isinstance(shape, list):
        assert isinstance(value, list)
        assert value, "an empty list proves nothing"
        return [link for part in value for link in links_of(part, shape[0])]
    if isinstance(shape, tuple):
        assert len(value) == len(shape)
        return [link for pair in zip(value, shape, strict=True) for link in links_of(*pair)]
    if isinstance(shape, dict):
        assert isinstance(value, dict)
        assert set(shape) <= set(value), f"documented keys are missing from {sorted(value)}"
        return [link for key in shape for link in links_of(value[key], shape[key])]
    kinds: dict[Any, Any] = {
        TEXT: str,
        TEXT_OR_NULL: str | None,
        WHOLE: int,
        SEEDS: int | None,
        float: int | float,
    }
    assert isinstance(value, kinds[shape])
    assert not isinstance(value, bool)
    return []


def read_when_ready(api: Api, link: str) -> bytes:
    """Read a link as soon as it works; 403 and 404 mean not yet."""
    deadline = time.monotonic() + 120
    answer = api.get(link)
    while answer.status_code in (403, 404):
        assert time.monotonic() < deadline, "the link was returned but never worked"
        time.sleep(0.05)
        answer = api.get(link)
    assert answer.status_code == 200, answer.text
    return answer.content


def check_opens(content: bytes) -> None:
    """Check that a result is a whole picture, PSD file or zip."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        return
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert min(image.size) > 0


def needs_more_than_lite(answer: httpx.Response) -> None:
    """Check that a refusal names the profiles that have the model."""
    assert answer.status_code == 506, answer.text
    assert re.search(r"\bopen\b.*\bbria\b", answer.text)

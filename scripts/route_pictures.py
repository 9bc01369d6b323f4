"""Makes the pictures of the pages of operations: before and after, as a server with profile `lite` makes them.

`python -m scripts.route_pictures [ADDRESS]` sends the example of each page to a running server and writes
docs/images/operations/. Pages that the profile cannot serve get no picture.
"""

import base64
import sys
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2 as httpx
from PIL import Image

from retouch.chequerboard import on_chequerboard
from scripts.documentation.availability import works_in_lite
from scripts.documentation.languages.values import key_of, photos
from scripts.documentation.more_operations import GROUPS
from scripts.documentation.operations import Example, OperationPage, Photo

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "images" / "operations"
MAX_BYTES = 40_000
_SIDE = 400
"""Longest side of each picture in pixels."""
_GAP = 8


def main(address: str) -> None:
    """Write the pictures of all pages whose result is a picture."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with httpx.Client(base_url=address, headers={"api_token": "me"}, timeout=120) as client:
        for page in (page for pages in GROUPS.values() for page in pages):
            result = _result(client, page)
            if result is not None:
                (FOLDER / f"{page.slug}.webp").write_bytes(result)
                print(f"{len(result):6} bytes  {page.slug}")


def _result(client: httpx.Client, page: OperationPage) -> bytes | None:
    """Return the picture of a page; None if its result is none, or not with this profile."""
    example = page.example
    if example is None or not is_pictured(example):
        return None
    answer = send(client, example).raise_for_status()
    before = next(photos(dict((example.first or example).fields)))
    with Image.open(ROOT / before.path) as first, Image.open(BytesIO(answer.content)) as second:
        return _small(_pair(first, second))


def is_pictured(example: Example) -> bool:
    """Whether the result of an example is a picture that profile `lite` makes."""
    return example.accept == "image/png" and works_in_lite(example)


def send(client: httpx.Client, example: Example) -> httpx.Response:
    """Send an example and return the answer."""
    path = example.path
    if example.first is not None:
        key = key_of(example)
        path = path.format(**{key: send(client, example.first).raise_for_status().json()[key]})
    headers = {"Accept": example.accept} if example.accept else {}
    if example.method == "GET":
        return client.get(path, headers=headers)
    return client.post(path, headers=headers, json=_encoded(example.fields))


def _encoded(value: Any) -> Any:
    """Return fields with each photograph as base64."""
    if isinstance(value, Photo):
        return base64.b64encode((ROOT / value.path).read_bytes()).decode()
    if isinstance(value, Mapping):
        return {name: _encoded(inner) for name, inner in value.items()}
    return [_encoded(inner) for inner in value] if isinstance(value, list) else value


def _pair(first: Image.Image, second: Image.Image) -> Image.Image:
    """Return both pictures side by side; what is transparent shows a chequerboard."""
    left, right = _shown(first), _shown(second)
    height = max(left.height, right.height)
    pair = Image.new("RGB", (left.width + _GAP + right.width, height), "white")
    pair.paste(left, (0, (height - left.height) // 2))
    pair.paste(right, (left.width + _GAP, (height - right.height) // 2))
    return pair


def _shown(image: Image.Image) -> Image.Image:
    shown = image.convert("RGBA")
    shown.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return on_chequerboard(shown)


def _small(image: Image.Image) -> bytes:
    """Return a WebP file of at most MAX_BYTES."""
    for quality in range(80, 20, -5):
        stream = BytesIO()
        image.save(stream, "WEBP", quality=quality, method=6)
        if stream.tell() <= MAX_BYTES:
            return stream.getvalue()
    raise ValueError("the picture cannot be made small enough")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")

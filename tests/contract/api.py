"""The API under test: how it is called, and with which files."""

import base64
import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2 as httpx
from PIL import Image

from tests.contract.published import PHOTOGRAPH
from tests.contract.route import Route
from tests.helpers.places import PHOTOS

Way = Literal["as published", "base64", "file parts", "data URLs"]
"""How a request is sent: as on the published page, with URLs; JSON; multipart; urlencoded."""
WAYS: tuple[Way, ...] = ("as published", "base64", "file parts", "data URLs")
WAYS_V2: tuple[Way, ...] = ("as published", "base64", "data URLs")
"""In v2 all of them are JSON."""
REPLACE_COLOUR = {"image_url": "URL", "bg_prompt": "#1e90ff", "num_results": 2}
"""A request of background/replace that needs no generative model."""
REPLACE_COLOUR_V2 = {"image": "URL", "prompt": "#1e90ff"}
"""The same for v2."""
SHOT_ON_COLOUR = {
    "image_url": "URL",
    "scene_description": "#1e90ff",
    "num_results": 1,
    "aspect_ratio": "4:3",
}
"""The same for a lifestyle shot; the ratio counts only with automatic_aspect_ratio, which needs it."""
COLOURS = {
    "/product/lifestyle_shot_by_text": SHOT_ON_COLOUR,
    "/background/replace": REPLACE_COLOUR,
    "/image/edit/replace_background": REPLACE_COLOUR_V2,
}
"""By path: requests that need no generative model, where the published example does."""
PLACEMENT_OF = {
    "original_quality": "original",
    "aspect_ratio": "automatic_aspect_ratio",
    "shot_size": "manual_placement",
    "foreground_image_size": "custom_coordinates",
    "foreground_image_location": "custom_coordinates",
    "manual_placement_selection": "manual_placement",
    "padding_values": "manual_padding",
}
"""By field of a lifestyle shot: a placement_type with which it counts."""
_JOB_S = 120


def _portrait() -> bytes:
    stream = io.BytesIO()
    with Image.open(PHOTOS / "astronaut.jpg") as image:
        image.resize((256, 256)).save(stream, "JPEG")
    return stream.getvalue()


def _mask() -> bytes:
    stream = io.BytesIO()
    image = Image.new("L", (256, 256))
    image.paste(255, (180, 30, 240, 90))
    image.save(stream, "PNG")
    return stream.getvalue()


FILES = {"portrait.jpg": _portrait(), "mask.png": _mask()}
"""The pictures of all requests: one person, and a mask beside her head."""


@dataclass
class Api:
    """One implementation of the API and clients for it.

    client: sends the token; anonymous: does not. base: the address of v1; v2 is beside it. hosted:
    whether it is the hosted API. pictures: the address where it can fetch FILES, None for none.
    """

    client: httpx.Client
    anonymous: httpx.Client
    base: str
    hosted: bool
    pictures: str | None
    known: dict[str, str] = field(default_factory=dict)

    def send(self, route: Route, fields: Mapping[str, Any], way: Way) -> httpx.Response:
        """Send a request of a route; `fields` as published, with `visual_id` for the path."""
        fields = dict(fields)
        path = self.address(route).replace("{visual_id}", str(fields.pop("visual_id", "")))
        in_query = {known.name for known in route.fields if known.place == "query"}
        query = {name: fields.pop(name) for name in in_query & fields.keys()}
        if route.body is None:
            return self.client.request(route.method, path, params=query)
        if route.version == "v2":
            return self.client.request(route.method, path, json=self._values(fields, way))
        ready = self._pictures(fields, way)
        if way == "file parts" or (way == "as published" and route.body == "multipart"):
            # A tuple without a filename is a plain part: multipart even where there is no file.
            parts = {
                name: value if isinstance(value, tuple) else (None, as_text(value))
                for name, value in ready.items()
            }
            return self.client.request(route.method, path, params=query, files=parts)
        if way == "data URLs":
            form = {name: as_text(value) for name, value in ready.items()}
            return self.client.request(route.method, path, params=query, data=form)
        return self.client.request(route.method, path, params=query, json=ready)

    def address(self, route: Route) -> str:
        """Return the address of a route, with the names in its path."""
        return self.base.removesuffix("/v1") + route.url

    def finished(self, answer: httpx.Response) -> dict[str, Any]:
        """Return the final state of a request of v2 that was answered with 202."""
        deadline = time.monotonic() + _JOB_S
        status_url = answer.json()["status_url"]
        address = status_url if self.hosted else urlsplit(status_url).path
        state: dict[str, Any] = self.client.get(address).json()
        while state["status"] == "IN_PROGRESS":
            assert time.monotonic() < deadline, "the request was never finished"
            time.sleep(0.05)
            state = self.client.get(address).json()
        return state

    def _values(self, fields: Mapping[str, Any], way: Way) -> dict[str, Any]:
        """Replace URL in the fields of v2 by an address, base64 or a data URL."""

        def value(name: str, published: Any) -> Any:
            if isinstance(published, list):
                return [value(name, part) for part in published]
            if isinstance(published, dict):
                return {part: value(part, one) for part, one in published.items()}
            if published != "URL":
                return published
            file = "mask.png" if name == "mask" else "portrait.jpg"
            digits = base64.b64encode(FILES[file]).decode()
            if way == "as published" and self.pictures is not None:
                return f"{self.pictures}/{file}"
            return f"data:image/{file[-3:]};base64,{digits}" if way == "data URLs" else digits

        return {name: value(name, published) for name, published in fields.items()}

    def _pictures(self, fields: dict[str, Any], way: Way) -> dict[str, Any]:
        """Replace the picture URLs of the published example by pictures, sent in the given way."""
        ready: dict[str, Any] = {}
        for name, value in fields.items():
            if value not in ("URL", PHOTOGRAPH["image_url"]):
                ready.setdefault(name, value)
                continue
            file = "mask.png" if name.startswith("mask") else "portrait.jpg"
            digits = base64.b64encode(FILES[file]).decode()
            by_file = name.replace("ref_image_urls", "ref_image_file")
            by_file = by_file.replace("image_url", "file").replace("mask_url", "mask_file")
            if way == "file parts":
                ready[by_file] = (file, FILES[file])
            elif way == "data URLs":
                ready[name] = f"data:image/{file[-3:]};base64,{digits}"
            elif way == "as published" and self.hosted and value != "URL":
                ready[name] = value
            elif way == "as published" and self.pictures is not None:
                ready[name] = f"{self.pictures}/{file}"
            else:
                ready[by_file] = digits
        return ready

    def get(self, link: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Read a link without the token."""
        parts = urlsplit(link)
        address = link if self.hosted else f"{parts.path}?{parts.query}"
        return self.anonymous.get(address, headers=headers)

    def visual(self) -> str:
        """Return the visual_id of the portrait; the first call registers it."""
        return str(self._once("visual", self._register))

    def person(self) -> str:
        """Return the id of the person in the portrait."""
        return str(self._once("person", self._person))

    def _once(self, name: str, find: Any) -> str:
        if name not in self.known:
            self.known[name] = find()
        return self.known[name]

    def _register(self) -> str:
        parts = {"file": ("portrait.jpg", FILES["portrait.jpg"])}
        answer = self.client.post(f"{self.base}/upload", files=parts)
        assert answer.json()["code"] in (200, 208), answer.text
        return str(answer.json()["visual_id"])

    def _person(self) -> str:
        answer = self.client.get(f"{self.base}/{self.visual()}/person/info")
        return str(answer.json()[0]["id"])

    def example(self, route: Route) -> dict[str, Any]:
        """Return the published example of a route, with the ids of the portrait."""
        fields = json.loads(json.dumps(route.example))
        if "{visual_id}" in route.path:
            fields["visual_id"] = self.visual()
        for change in fields.get("changes", ()):
            change["id"] = self.person()
        return dict(fields)


def as_text(value: Any) -> str:
    """Return a value as the text of a form field: lists and objects as JSON."""
    return value if isinstance(value, str) else json.dumps(value)

"""Every place of every request that takes a picture, found by asking the server, and how to send one there."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2 as httpx
from starlette.testclient import TestClient

from server.http.uploads import IMAGE, PictureRule
from server.operation import Operation
from server.operations import OPERATIONS
from server.v1.register import RegisterBody
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo
from tests.helpers.route_needs import SENT

Way = Literal["base64", "file part", "address"]
WAYS: tuple[Way, ...] = ("base64", "file part", "address")
NOWHERE = "http://192.0.2.1/picture.png"
"""An address that no server of this project fetches from. Only a field for a picture tries to, and answers 460."""
_COMPANIONS: Mapping[str, Mapping[str, Any]] = {
    "guidance_method_1_image_file": {"guidance_method_1": "controlnet_canny"},
    "guidance_method_2_image_file": {"guidance_method_2": "controlnet_canny"},
    "ref_images": {"prompt": None},
    "ref_image_url": {"bg_prompt": None},
    "ref_image_file": {"bg_prompt": None},
    "ref_image": {"bg_prompt": None},
    "ref_image_urls": {"ref_image_file": None},
    "image_url": {"images": None},
}
"""By field: what a request with a picture in it has besides; None: what it must not have."""
_SMALL: Mapping[str, Mapping[str, Any]] = {
    "/image_expansion": {"canvas_size": [400, 300]},
    "/product/lifestyle_shot_by_text": {"num_results": 1},
    "/product/lifestyle_shot_by_image": {"num_results": 1},
    "/background/replace": {"num_results": 1},
}
"""By an operation's key: fields that are needed for any picture, or that make its results few."""


@dataclass(frozen=True)
class Place:
    """A place for a picture: `path`, whose steps lead from the body to it, in the request of a route.

    template: the route as the OpenAPI document names it. base: the rest of the request.
    """

    template: str
    route: str
    path: tuple[str | int, ...]
    base: Mapping[str, Any] = field(compare=False, hash=False)

    def __str__(self) -> str:
        return f"{self.template} {'.'.join(map(str, self.path))}"

    @property
    def ways(self) -> tuple[Way, ...]:
        """How a picture can be sent here: a file part has the name of a whole field."""
        return WAYS if len(self.path) == 1 else ("base64", "address")

    @property
    def is_mask(self) -> bool:
        """Whether the picture is a mask."""
        return "mask" in str(self.path[-1])

    def body(self, value: Any) -> dict[str, Any]:
        """Return the request's JSON with a value in this place."""
        whole: dict[str, Any] = json.loads(json.dumps(self.base))
        at: Any = whole
        for step in self.path[:-1]:
            at = at[step]
        at[self.path[-1]] = value
        return whole

    def send(self, client: TestClient, data: bytes, way: Way, **more: Any) -> httpx.Response:
        """Send a picture to this place as a data: URL or as a file part.

        more: further fields. An address is sent by the test, which knows who serves the file.
        """
        if way == "file part":
            rest = {name: as_text(value) for name, value in {**self.base, **more}.items()}
            rest.pop(str(self.path[0]), None)
            parts = {str(self.path[0]): ("picture", data)}
            return client.post(self.route, data=rest, files=parts)
        body = self.body(f"data:image/png;base64,{b64(data)}") | more
        return client.post(self.route, json=body)

    def send_address(self, client: TestClient, address: str) -> httpx.Response:
        """Send the address of a picture to this place."""
        return client.post(self.route, json=self.body(address))


def as_text(value: Any) -> str:
    """Return a value as a form sends it."""
    return value if isinstance(value, str) else json.dumps(value)


class NoModels(FakeModels):
    """Has no model at all, so that a request is refused after its pictures are read and before any work."""

    fakes = {}


def find_places(client: TestClient, visual_id: str) -> list[Place]:
    """Return the places of all routes that take a picture.

    client: of a server without models and with RETOUCH_ORG_IMAGE_URL. visual_id: of a registered picture.
    """
    found = []
    for candidate in _candidates(visual_id):
        answer = candidate.send_address(client, NOWHERE)
        if answer.status_code == 460:
            found.append(candidate)
    return found


def rules() -> Iterator[tuple[str, PictureRule]]:
    """Yield each route and rule of a picture that is declared."""
    for operation in OPERATIONS:
        for rule in operation.pictures:
            yield operation.url, rule
    yield "/v1/register", IMAGE
    yield "/v1/upload", IMAGE


def _candidates(visual_id: str) -> Iterator[Place]:
    for operation in OPERATIONS:
        if operation.method != "POST":
            continue
        url = operation.url.replace("{visual_id}", visual_id).replace("{model_version}", "2.3")
        base = {"sync": True, **SENT.get(operation.key, {}), **_SMALL.get(operation.key, {})}
        for rule in operation.pictures:
            if rule.required and not set(rule.file_fields) & base.keys():
                base[rule.file_fields[0]] = b64(photo())
        for path in _paths(operation):
            yield Place(operation.url, url, path, _without_others(operation, base, path))
    for url in ("/v1/register", "/v1/upload"):
        for name in (*IMAGE.url_fields, *IMAGE.file_fields, *RegisterBody.model_fields):
            yield Place(url, url, (name,), {})


def _paths(operation: Operation[Any]) -> Iterator[tuple[str | int, ...]]:
    """Yield what may be a place: every field, and every member of the objects in lists."""
    schema = operation.body.model_json_schema()
    names = [name for rule in operation.pictures for name in (*rule.url_fields, *rule.file_fields)]
    for name in dict.fromkeys([*names, *operation.body.model_fields]):
        yield (name,)
        listed = schema["properties"].get(name, {}).get("items", {}).get("$ref", "")
        members = schema.get("$defs", {}).get(listed.rpartition("/")[2], {}).get("properties", {})
        for member in members:
            yield (name, 0, member)


def _without_others(
    operation: Operation[Any], base: Mapping[str, Any], path: tuple[str | int, ...]
) -> dict[str, Any]:
    """Return a request without what would count instead of the value at a path."""
    name = str(path[0])
    rest = dict(base)
    for rule in operation.pictures:
        same = (*rule.url_fields, *rule.file_fields)
        if name in same:
            rest = {known: value for known, value in rest.items() if known not in same}
    if len(path) > 1 and name == "changes":
        rest[name] = [{}]
    for other, value in _COMPANIONS.get(name, {}).items():
        rest[other] = value
    if "image_url" not in operation.body.model_fields and name == "image_url":
        rest.pop("images", None)
    return {known: value for known, value in rest.items() if value is not None}


def documented(
    document: Mapping[str, Any], template: str, method: str, answer: httpx.Response
) -> str | None:
    """Return what is wrong with an answer by the OpenAPI document; None for nothing.

    Its code must be documented and not 500, and an error must have the body of its version.
    """
    known = document["paths"][template][method]["responses"]
    code = answer.status_code
    if str(code) not in known or code == 500:
        return f"{code} is not documented: {answer.text[:200]}"
    if code < 400:
        return None
    body = answer.json()
    if not (body.get("description") or body.get("error", {}).get("message")):
        return f"{code} without a reason: {answer.text[:200]}"
    return None

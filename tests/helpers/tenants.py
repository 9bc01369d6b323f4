"""Attempts of one organisation at everything of another, made for each route from its parameters."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from server.operations import OPERATIONS
from server.queue_places import HEADER
from tests.helpers.requests import b64, photo
from tests.helpers.route_needs import SENT

OWNER, STRANGER = {"api_token": "secret-owner"}, {"api_token": "secret-stranger"}
TOKENS = "owner7:secret-owner,stranger7:secret-stranger"
SMALL = b64(photo(160, 120))
_PARAMETER = re.compile(r"\{([^}]+)\}")
_NOT_IDS = {"model_version", "asked", "name", "name:path"}
"""Parameters of paths that name nothing of an organisation."""
OPERATORS = {"/admin", "/admin/state", "/metrics"}
"""Routes that tell of all organisations, to a token with the scope `admin` alone."""
PUBLIC = {
    "/",
    "/admin/{asked}/{name:path}",
    "/playground/{asked}/{name:path}",
    "/docs",
    "/docs/{asked}/{name}",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/capabilities",
}
"""Routes that answer everyone the same."""
REFUSED = frozenset({401, 403, 404})


@dataclass(frozen=True)
class Belongings:
    """What an organisation has: a visual, a result of it, a link, and a request of version 2.

    queue_id: by which it may ask for the place of its request.
    """

    visual_id: str
    sid: str
    link: str
    request_id: str
    queue_id: str = ""

    @property
    def key(self) -> str:
        """The key of the result, which begins with the organisation."""
        return urlsplit(self.link).path.partition("/results/")[2]

    @property
    def query(self) -> str:
        """The signed part of the link."""
        return urlsplit(self.link).query


@dataclass(frozen=True)
class Attempt:
    """A request of the stranger. codes: the answers that give nothing away; None: any without a leak."""

    name: str
    method: str
    path: str
    json: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    codes: frozenset[int] | None = REFUSED


def belongings(client: TestClient, token: dict[str, str], number: int) -> Belongings:
    """Let an organisation make what it has."""
    picture = {"file": b64(photo(200 + number, 150))}
    queue_id = f"the-place-of-number-{number}"

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = client.post(path, json=body, headers={**token, HEADER: queue_id})
        assert answer.status_code in (200, 202), answer.text
        return answer.json()

    visual_id = post("/v1/register", picture)["visual_id"]
    change = {"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}
    edit = post(f"/v1/{visual_id}/objects/remove", {"changes": [change]})
    later = post("/v2/image/edit/crop_foreground", {"image": picture["file"], "sync": False})
    return Belongings(visual_id, edit["sid"], edit["image_res"], later["request_id"], queue_id)


def attempts(method: str, pattern: str, theirs: Belongings, own: Belongings) -> Iterator[Attempt]:
    """Yield the attempts at a route; raises KeyError for a parameter that nobody has thought about."""
    body = _body(pattern) if method == "POST" else None
    if pattern in OPERATORS:
        yield Attempt("operator", method, pattern)
    for parameter in set(_PARAMETER.findall(pattern)) - _NOT_IDS:
        yield from _BY_PARAMETER[parameter](method, pattern, body, theirs, own)
    if method == "POST":
        path = filled(pattern, own)
        yield Attempt("key", method, path, body, {"Idempotency-Key": f"key of {pattern}"}, None)
        yield Attempt("no token", method, path, body, {"api_token": ""}, frozenset({401}))
    if "{visual_id}" in pattern and _takes_sid(pattern):
        path = filled(pattern, own)
        wanted = {"json": {**(body or {}), "sid": theirs.sid}} if body is not None else {}
        yield Attempt("sid", method, f"{path}?sid={theirs.sid}", **wanted)


def _of_visual(
    method: str, pattern: str, body: Any, theirs: Belongings, own: Belongings
) -> Iterator[Attempt]:
    path = filled(pattern, theirs)
    yield Attempt("visual", method, path, body)
    yield Attempt("visual, their sid", method, f"{path}?sid={theirs.sid}", body)
    yield Attempt("visual, bearer", method, path, body, {"authorization": "Bearer secret-owner"})


def _of_request(
    method: str, pattern: str, body: Any, theirs: Belongings, own: Belongings
) -> Iterator[Attempt]:
    yield Attempt("request", method, pattern.replace("{request_id}", theirs.request_id))
    changed = theirs.request_id.upper()
    yield Attempt("request, other case", method, pattern.replace("{request_id}", changed))


def _of_queue_id(
    method: str, pattern: str, body: Any, theirs: Belongings, own: Belongings
) -> Iterator[Attempt]:
    for name, known_as in (("their own id", theirs.queue_id), ("their request", theirs.request_id)):
        yield Attempt(f"queue, {name}", method, pattern.replace("{queue_id}", known_as))


def _of_key(
    method: str, pattern: str, body: Any, theirs: Belongings, own: Belongings
) -> Iterator[Attempt]:
    later = theirs.query.replace("expires=", "expires=9")
    for name, key, query in (
        ("no signature", theirs.key, ""),
        ("own signature", theirs.key, own.query),
        ("later", theirs.key, later),
        ("own folder", theirs.key.replace("owner7", "stranger7"), theirs.query),
        ("other file", theirs.key + ".json", theirs.query),
        ("climbing", f"stranger7/%2e%2e/{theirs.key}", own.query),
    ):
        path = pattern.replace("{key:path}", key)
        yield Attempt(f"link, {name}", method, f"{path}?{query}")


_BY_PARAMETER: dict[str, Callable[..., Iterator[Attempt]]] = {
    "visual_id": _of_visual,
    "request_id": _of_request,
    "queue_id": _of_queue_id,
    "key:path": _of_key,
}
"""By a path's parameter: what a stranger tries with it. A new parameter needs a row."""


def filled(pattern: str, of: Belongings) -> str:
    """Return a path with what an organisation has."""
    return pattern.replace("{visual_id}", of.visual_id).replace("{model_version}", "2.3")


def _operation(pattern: str) -> Any:
    return next((found for found in OPERATIONS if found.url == pattern), None)


def _takes_sid(pattern: str) -> bool:
    operation = _operation(pattern)
    return operation is not None and "sid" in operation.body.model_fields


def _body(pattern: str) -> dict[str, Any]:
    """Return a valid body of a route."""
    operation = _operation(pattern)
    if operation is None or not operation.pictures:
        picture = {} if operation else {"file": SMALL}
    else:
        picture = {("image" if pattern.startswith("/v2") else "file"): SMALL}
    return picture | SENT.get(operation.key if operation else pattern, {})

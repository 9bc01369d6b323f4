"""Calls every operation with what the OpenAPI document allows, one call on what earlier calls returned.

schemathesis makes the fields from the document. Pictures are small ones of an own list, and ids are those
that earlier answers contain: register returns visual ids, edits of visuals return sids, version 2 returns
request ids, and results have links. The models are fakes, because a thousand successes of each of 60
operations with real ones take hours: what is tried is fields, answers and state. Every answer must have a
documented code, its documented schema, and must not be 500. An operation that was called without any
success is a finding.
"""

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.hostile_pictures import ODD
from tests.helpers.picture_places import NoModels, Place, documented, find_places
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.route_needs import SENT

WANTED = 1000
"""Successes of each operation in a run that is long enough."""
_ROUND = 10
_HELD = 50
_WORDS = {"model_version": "2.3"}


@dataclass
class _State:
    """What earlier answers returned, by the name under which later calls send it."""

    ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    codes: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    findings: dict[str, str] = field(default_factory=dict)
    turn: int = 0

    def note(self, answer: Mapping[str, Any]) -> None:
        """Keep the ids of an answer."""
        for name, value in answer.items():
            if name in ("visual_id", "sid", "request_id") and isinstance(value, str):
                self.ids[name] = [*self.ids[name], value][-_HELD:]

    def id(self, name: str) -> str | None:
        """Return one of the known ids, in turn; None without any."""
        known = self.ids.get(name)
        self.turn += 1
        return known[self.turn % len(known)] if known else _WORDS.get(name)


def run(minutes: float) -> list[str]:
    """Call the operations in rounds until each has had its successes or the time is over."""
    import schemathesis

    with tempfile.TemporaryDirectory() as folder:
        places = _places(Path(folder) / "places")
        app = create_app(_settings(Path(folder) / "data"), GenerativeModels())
        with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
            for number in range(5):
                client.post("/v1/register", json={"file": b64(photo(320 + number, 240))})
            operations = [
                found.ok()
                for found in schemathesis.openapi.from_dict(app.openapi()).get_all_operations()
            ]
            calls = _Calls(client, app.openapi(), places)
            return calls.run([one for one in operations if _is_tried(one)], minutes)


def _is_tried(operation: Any) -> bool:
    """Whether an operation is called by itself: links are read as they come, and visuals must stay."""
    return not operation.path.startswith(("/results", "/healthz", "/readyz"))


class _Calls:
    """A server, the calls, and what became of them."""

    def __init__(self, client: TestClient, document: dict[str, Any], places: list[Place]) -> None:
        self._client = client
        self._document = document
        self._places: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            self._places[place.template].append(place)
        self._state = _State()
        odd = ("CMYK", "16-bit RGB", "RGBA in lossless WebP", "palette with transparency", "turned")
        self._pictures = cycle(
            [photo(), photo(240, 320, "RGB", "JPEG"), *(ODD[name]() for name in odd)]
        )

    def run(self, operations: list[Any], minutes: float) -> list[str]:
        """Call them by turns; print how many successes each had; return the findings."""
        deadline = time.monotonic() + 60 * minutes
        rest = list(operations)
        while rest and time.monotonic() < deadline:
            for operation in rest:
                self._round(operation)
                if time.monotonic() > deadline:
                    break
            rest = [one for one in rest if self._successes(one) < WANTED]
        for operation in operations:
            codes = dict(sorted(self._state.codes[operation.label].items()))
            print(f"{operation.label:60} {self._successes(operation):5} successes; {codes}")
        called = [one for one in operations if self._state.codes[one.label]]
        if len(called) < len(operations):
            print(f"There was time for {len(called)} of {len(operations)} operations only.")
        unreached = [one.label for one in called if not self._successes(one)]
        return [
            *(f"{label}: {fault}" for label, fault in self._state.findings.items()),
            *(f"{label} had no success" for label in unreached),
        ]

    def _successes(self, operation: Any) -> int:
        codes = self._state.codes[operation.label]
        return sum(count for code, count in codes.items() if code < 300)

    def _round(self, operation: Any) -> None:
        for case in _examples(operation, self._state.turn):
            self._call(operation, case)

    def _call(self, operation: Any, case: Any) -> None:
        path = operation.path
        for name in case.path_parameters or {}:
            path = path.replace(f"{{{name}}}", self._state.id(name) or "0" * 16)
        if operation.method == "get":
            query = {n: v for n, v in (case.query or {}).items() if n != "sid"}
            answer = self._client.get(path, params=query)
        else:
            answer = self._client.post(path, json=self._body(operation, case))
        self._state.codes[operation.label][answer.status_code] += 1
        fault = documented(self._document, operation.path, operation.method, answer)
        if fault is None and answer.status_code < 300:
            fault = self._after(operation, case, answer)
        if fault:
            self._state.findings.setdefault(operation.label, fault)

    def _after(self, operation: Any, case: Any, answer: Any) -> str | None:
        """Note the ids of a success and read its link; return what is wrong with it."""
        content = answer.json()
        if isinstance(content, dict):
            self._state.note(content)
            result = content.get("result")
            links = {**content, **(result if isinstance(result, dict) else {})}
            for name in ("result_url", "image_res", "image_url"):
                link = links.get(name)
                if isinstance(link, str) and link.startswith("http"):
                    parts = urlsplit(link)
                    code = self._client.get(f"{parts.path}?{parts.query}").status_code
                    if code != 200 and code != 404:  # 404: not yet, with sync=false
                        return f"the link of {name} answers {code}"
        try:
            operation.validate_response(answer)
        except Exception as error:  # of schemathesis and jsonschema, with many classes
            return f"the answer is not what the document says: {str(error)[:300]}"
        return None

    def _body(self, operation: Any, case: Any) -> dict[str, Any]:
        """Return a generated body with pictures, and with the fields that an ordinary request needs."""
        body = dict(case.body) if isinstance(case.body, dict) else {}
        key = operation.path.removeprefix("/v1")
        places = self._places.get(operation.path.replace("{visual_id}", self._known_id()), [])
        for place in places:
            body.pop(str(place.path[0]), None)
        for name in ("webhook_url", "org_image_key", "sid"):
            body.pop(name, None)
        needed = SENT.get(key, {})
        self._state.turn += 1
        if self._state.turn % 3:  # every third time the generated words stay
            body |= {name: value for name, value in needed.items() if name not in body}
        body |= {
            name: value
            for name, value in needed.items()
            if isinstance(value, str) and len(value) > 99
        }
        first = next(
            (place for place in places if len(place.path) == 1 and not place.is_mask), None
        )
        if first is not None and str(first.path[0]) not in body:
            picture = photo() if "mask_file" in body or "mask" in body else next(self._pictures)
            file = next((p for p in places if str(p.path[0]) in ("file", "image")), first)
            body[str(file.path[0])] = b64(picture)
        if "sid" in str(operation.path) or "{visual_id}" in operation.path:
            sid = self._state.id("sid")
            if sid and self._state.turn % 2:
                body["sid"] = sid
        return body

    def _known_id(self) -> str:
        return "{visual_id}"


def _examples(operation: Any, seed: int) -> Iterator[Any]:
    """Return generated cases of an operation whose body is JSON."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import seed as seeded

    cases: list[Any] = []

    @seeded(seed)  # type: ignore[untyped-decorator]
    @settings(  # type: ignore[untyped-decorator]
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())  # type: ignore[untyped-decorator]
    def collect(case: Any) -> None:
        if case.media_type in (None, "application/json"):
            cases.append(case)

    collect()
    return iter(cases)


def _settings(folder: Path) -> Settings:
    tokens: Any = "a:secret-a"
    return Settings(
        data_dir=folder, api_tokens=tokens, workers=2, org_image_url="http://192.0.2.1/{key}"
    )


def _places(folder: Path) -> list[Place]:
    with TestClient(create_app(_settings(folder), NoModels()), headers=TOKEN) as client:
        registered = client.post("/v1/register", json={"file": b64(photo())})
        return find_places(client, registered.json()["visual_id"])

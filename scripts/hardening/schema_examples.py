"""Calls every operation with what the OpenAPI document allows, one call on what earlier calls returned.

schemathesis makes the fields from the document. Pictures are small ones of an own list, and ids are those
that earlier answers contain: register returns visual ids, edits of visuals return sids, person/info returns
people, version 2 returns request ids, and results have links. The operations are called by turns, the first
time with an ordinary request, so that each is reached within a minute. The models are fakes, because a
thousand successes of each of 68 operations with real ones take days: what is tried is fields, answers and
state. Every answer must have a documented code and its documented schema, and must not be 500. An operation
that never succeeds is a finding.
"""

import math
import multiprocessing
import os
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from models.roles import FACE_ANALYSIS
from scripts.hardening.common.document_cases import (
    Case,
    Operation,
    Source,
    generated,
    without_pictures,
)
from server.app import create_app
from server.settings import Settings
from tests.helpers.fake_models import GenerativeModels, OneFace
from tests.helpers.hostile_pictures import ODD
from tests.helpers.picture_places import documented, rules
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.route_needs import SENT

WANTED = 1000
"""Successes of each operation in a run that is long enough."""
_ENOUGH_CALLS = 8
"""An operation without any success in so many calls is a finding: generated words may be refused by chance."""
_HELD = 50
_VISUALS = 5
_NEVER_SENT = frozenset({"webhook_url", "org_image_key", "sid"})
"""Fields that name something elsewhere; a known sid is sent instead of a generated one."""


@dataclass(frozen=True)
class Outcome:
    """What became of the calls: how often an operation had each code, and what is wrong with an operation."""

    codes: Mapping[str, Counter[int]]
    faults: Mapping[str, str]

    def findings(self, wanted: int) -> list[str]:
        """Print how many successes of the wanted ones each operation had; return what is wrong."""
        successes = {
            operation: sum(count for code, count in codes.items() if code < 300)
            for operation, codes in self.codes.items()
        }
        for operation, codes in self.codes.items():
            print(
                f"{operation:60} {successes[operation]:5} successes; {dict(sorted(codes.items()))}"
            )
        enough = sum(count >= wanted for count in successes.values())
        print(f"{enough} of {len(self.codes)} operations had {wanted} successes or more.")
        return [
            *(f"{operation}: {fault}" for operation, fault in self.faults.items()),
            *(
                f"{one} had no success"
                for one, codes in self.codes.items()
                if not successes[one] and codes.total() >= _ENOUGH_CALLS
            ),
        ]


def run(minutes: float) -> list[str]:
    """Call the operations by turns until each has had its successes or the time is over.

    Each processor has a server and calls of its own, because both are Python.
    """
    parts = os.cpu_count() or 1
    with ProcessPoolExecutor(parts, multiprocessing.get_context("spawn")) as pool:
        each = partial(_part, wanted=math.ceil(WANTED / parts), minutes=minutes)
        outcomes = list(pool.map(each, range(parts)))
    codes: dict[str, Counter[int]] = defaultdict(Counter)
    for outcome in outcomes:
        for operation, counts in outcome.codes.items():
            codes[operation].update(counts)
    faults = {name: fault for outcome in outcomes for name, fault in outcome.faults.items()}
    return Outcome(codes, faults).findings(WANTED)


def _part(part: int, wanted: int, minutes: float) -> Outcome:
    return attack(lambda document: generated(document, part), wanted, minutes)


def attack(
    source: Callable[[dict[str, Any]], Source],
    wanted: int,
    minutes: float = math.inf,
    rounds: float = math.inf,
) -> Outcome:
    """Call every operation of one server by turns.

    source: returns the source of cases for a document. wanted: successes of each. minutes, rounds: after
    which it ends in any case, but not before each operation was called once.
    """
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder),
            api_tokens="a:secret-a",
            workers=2,
            requests_per_minute=0,
            status_requests_per_minute=0,
        )
        app = create_app(settings, GenerativeModels({FACE_ANALYSIS: OneFace()}))
        document = app.openapi()
        with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
            calls = _Calls(client, document, source(without_pictures(document)))
            return calls.run(wanted, time.monotonic() + 60 * minutes, rounds)


class _Known:
    """What earlier answers returned and later calls send."""

    def __init__(self) -> None:
        self.visuals: list[str] = []
        self.requests: list[str] = []
        self.sids: dict[str, list[str]] = defaultdict(list)
        self.changes: dict[str, dict[str, Any]] = {}
        """By visual: a change of the person in it."""

    def note(self, operation: Operation, visual: str, content: Any) -> None:
        """Keep the ids of an answer to a call for a visual."""
        if operation.path.endswith("/remove_image"):
            self.visuals.remove(visual)
        elif operation.path.endswith("/person/info"):
            for person in content:
                first = {name: words[0] for name, words in list(person["actions"].items())[:1]}
                self.changes[visual] = {"id": person["id"], "actions": first}
        elif isinstance(content, dict):
            if content.get("visual_id") not in (None, *self.visuals):
                self.visuals = [*self.visuals, content["visual_id"]][:_HELD]
            if (
                "status_url" in content
            ):  # of others, which were answered at once, the status knows nothing
                self.requests = [*self.requests, content["request_id"]][-_HELD:]
            if isinstance(content.get("sid"), str):
                self.sids[visual] = [*self.sids[visual], content["sid"]][-_HELD:]


class _Calls:
    """A server, the calls, and what became of them."""

    def __init__(self, client: TestClient, document: dict[str, Any], source: Source) -> None:
        self._client = client
        self._document = document
        self._operations = [
            Operation(path, method, spec)
            for path, methods in document["paths"].items()
            for method, spec in methods.items()
            # Links are read as they come; a place in the queue is only known while a request is in work.
            if not path.startswith(("/results", "/healthz", "/readyz", "/queue"))
        ]
        self._cases = {one: source(one) for one in self._operations}
        self._codes: dict[Operation, Counter[int]] = defaultdict(Counter)
        self._findings: dict[str, str] = {}
        self._known = _Known()
        self._registered = 0
        odd = ("CMYK", "16-bit RGB", "RGBA in lossless WebP", "palette with transparency", "turned")
        self._pictures = cycle(
            [photo(), photo(240, 320, "RGB", "JPEG"), *(ODD[name]() for name in odd)]
        )

    def run(self, wanted: int, deadline: float, rounds: float) -> Outcome:
        """Call them by turns until each has its successes, or a time or number of rounds is over."""
        rest, done = self._operations, 0
        while rest and done < rounds and (not done or time.monotonic() < deadline):
            for operation in rest:
                if done and time.monotonic() > deadline:
                    break
                self._call(operation)
            rest = [one for one in rest if self._successes(one) < wanted]
            done += 1
        codes = {str(operation): counts for operation, counts in self._codes.items()}
        return Outcome(codes, self._findings)

    def _successes(self, operation: Operation) -> int:
        return sum(count for code, count in self._codes[operation].items() if code < 300)

    def _call(self, operation: Operation) -> None:
        number = self._codes[operation].total()
        case = next(self._cases[operation])
        visual = self._visual(operation, number)
        path = operation.path.replace("{visual_id}", visual).replace("{model_version}", "2.3")
        path = path.replace("{request_id}", ([*self._known.requests[-1:], "0" * 32])[0])
        extra = self._sid(operation, visual, number)
        if operation.method == "get":
            query = {n: v for n, v in case.query.items() if n not in _NEVER_SENT} if number else {}
            answer = self._client.get(path, params={**query, **extra})
        else:
            body = self._body(operation, case, visual, number) | extra
            answer = self._client.post(path, json=body)
        self._codes[operation][answer.status_code] += 1
        fault = documented(self._document, operation.path, operation.method, answer)
        fault = fault or _schema_fault(self._document, operation, answer)
        if fault is None and answer.status_code < 300:
            content = answer.json()
            self._known.note(operation, visual, content)
            fault = self._link_fault(operation, content)
        if fault:
            self._findings.setdefault(str(operation), fault)

    def _visual(self, operation: Operation, number: int) -> str:
        """Return the visual of a call; there are always some ordinary ones."""
        while len(self._known.visuals) < _VISUALS:
            self._registered += 1
            picture = b64(photo(320 + self._registered, 240))
            answer = self._client.post("/v1/register", json={"file": picture})
            self._known.visuals.append(answer.json()["visual_id"])
        known = self._known.visuals
        if operation.path.endswith("/remove_image"):
            return known[-1]
        if operation.path.endswith("/create"):
            known = [one for one in known if one in self._known.changes] or known
        return known[number % len(known)]

    def _sid(self, operation: Operation, visual: str, number: int) -> dict[str, str]:
        """Return the sid of a call for a visual: every second time, if one is known."""
        sids = self._known.sids[visual] if "{visual_id}" in operation.path else []
        return {"sid": sids[number % len(sids)]} if sids and number % 2 else {}

    def _body(self, operation: Operation, case: Case, visual: str, number: int) -> dict[str, Any]:
        """Return generated words with pictures, and with the fields that an ordinary request needs.

        The first request is an ordinary one; in every third the generated words replace what is needed.
        """
        needs = dict(SENT.get(operation.key, {}))
        if operation.path.endswith("/create") and visual in self._known.changes:
            needs["changes"] = [self._known.changes[visual]]
        words = {n: v for n, v in case.body.items() if n not in _NEVER_SENT} if number else {}
        body = needs | words if number % 3 == 2 else words | needs
        is_ordinary = number == 0 or any("mask" in name for name in needs)
        for template, rule in rules():
            names = (*rule.url_fields, *rule.file_fields)
            if template == operation.path and rule.required and not body.keys() & set(names):
                picture = photo() if is_ordinary else next(self._pictures)
                body[rule.file_fields[0]] = b64(picture)
        return body

    def _link_fault(self, operation: Operation, content: Any) -> str | None:
        """Read the link of an operation's result; return what is wrong with it.

        The link of a job that found nothing in its picture answers as the operation itself would.
        """
        if not isinstance(content, dict):
            return None
        result = content.get("result")
        links = {**content, **(result if isinstance(result, dict) else {})}
        for name in ("result_url", "image_res", "image_url"):
            link = links.get(name)
            if isinstance(link, str) and link.startswith("http"):
                parts = urlsplit(link)
                answer = self._client.get(f"{parts.path}?{parts.query}")
                if answer.status_code in (200, 404):  # 404: not yet, with sync=false
                    continue
                fault = documented(self._document, operation.path, operation.method, answer)
                if fault := fault or _schema_fault(self._document, operation, answer):
                    return f"the link of {name}: {fault}"
        return None


def _schema_fault(
    document: dict[str, Any], operation: Operation, answer: httpx.Response
) -> str | None:
    """Return how an answer differs from the schema of its code; None if it does not."""
    content = operation.spec["responses"][str(answer.status_code)].get("content", {})
    schema = content.get("application/json", {}).get("schema")
    if schema is None:
        return None
    validator = Draft202012Validator({**schema, "components": document["components"]})
    error = next(validator.iter_errors(answer.json()), None)
    return error and f"the answer is not what the document says: {str(error)[:300]}"

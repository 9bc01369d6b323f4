"""Random attempts of one organisation at what another has: ids, links, keys and tokens, also revoked ones.

`python -m scripts.hardening.tenants MINUTES` runs it on SQLite with a folder, then on PostgreSQL with S3.
"""

import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from starlette.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from storage.records import Records
from storage.tokens import TokenTable, digest_of
from tests.helpers.fake_models import FakeModels
from tests.helpers.routes import routes_of
from tests.helpers.services import Postgres, SeaweedFs
from tests.helpers.tenants import OWNER, STRANGER, TOKENS, Attempt, Belongings, attempts, belongings

_ROUND = 50
"""Attempts between two tokens that are created and revoked."""


def run(minutes: float) -> list[str]:
    """Attack for some minutes, half of them on each pair of stores; return what was found, and print figures."""
    findings: list[str] = []
    for name, open_stores in (("SQLite, folder", _folder), ("PostgreSQL, S3", _services)):
        with tempfile.TemporaryDirectory() as folder, open_stores(Path(folder)) as settings:
            trial = _Trial(settings, time.monotonic() + 60 * minutes / 2)
            findings += [f"{name}: {text}" for text in trial.run()]
            print(f"{name}: {trial.figures()}", flush=True)
    return findings


@contextmanager
def _folder(folder: Path) -> Iterator[Settings]:
    yield Settings(data_dir=folder, api_tokens=TOKENS, workers=2)


@contextmanager
def _services(folder: Path) -> Iterator[Settings]:
    postgres, seaweed = Postgres().start(), SeaweedFs(folder / "seaweed").start()
    os.environ.update(seaweed.environment())
    try:
        yield Settings(
            data_dir=folder / "data",
            api_tokens=TOKENS,
            workers=2,
            store=seaweed.prefix(),
            s3_endpoint=seaweed.endpoint,
            database_url=postgres.database(),
        )
    finally:
        seaweed.stop()
        postgres.close()


class _Trial:
    """Attempts at one server until a deadline, in seconds of the monotonic clock."""

    def __init__(self, settings: Settings, deadline: float) -> None:
        self._settings = settings
        self._deadline = deadline
        self._random = random.Random(18)  # noqa: S311
        self._codes: Counter[str] = Counter()
        self._findings: list[str] = []

    def figures(self) -> str:
        """Return how many attempts had which kind of answer."""
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._codes.items()))
        return f"{sum(self._codes.values())} attempts: {kinds}"

    def run(self) -> list[str]:
        """Make attempts until the deadline; return what was found."""
        app = create_app(self._settings, FakeModels())
        with (
            TestClient(app, raise_server_exceptions=False) as client,
            closing(Records(self._settings.records_url)) as records,
            httpx.Client() as reader,
        ):
            theirs, own = belongings(client, OWNER, 1), belongings(client, STRANGER, 2)
            known = [
                (attempt, pattern)
                for method, pattern in routes_of(app)
                for attempt in attempts(method, pattern, theirs, own)
                if "remove_image" not in pattern
            ]
            while time.monotonic() < self._deadline:
                for attempt, _ in self._random.choices(known, k=_ROUND):
                    self._try(client, attempt, theirs)
                    self._read(client, reader, theirs)
                self._revoke(client, TokenTable(records.engine))
        return self._findings

    def _try(self, client: TestClient, attempt: Attempt, theirs: Belongings) -> None:
        """Make an attempt, unchanged or with its path or its token changed."""
        path = self._changed(attempt.path) if self._random.random() < 0.3 else attempt.path
        # A bearer token counts where there is no other one.
        token = STRANGER if "authorization" in attempt.headers else self._token()
        headers = {**token, **attempt.headers}
        answer = client.request(attempt.method, path, json=attempt.json, headers=headers)
        self._count("api", answer.status_code)
        self._check(f"{attempt.name}: {attempt.method} {path}", answer, theirs)

    def _token(self) -> dict[str, str]:
        """Return the stranger's token, or one that is nearly the owner's."""
        owner = OWNER["api_token"]
        near = [owner[:-1], owner + "x", owner.upper(), f"owner7:{owner}", owner[::-1], ""]
        return STRANGER if self._random.random() < 0.8 else {"api_token": self._random.choice(near)}

    def _read(self, client: TestClient, reader: httpx.Client, theirs: Belongings) -> None:
        """Read the owner's link with one character of its path or query changed."""
        host, path = re.fullmatch(r"(https?://[^/]+/)(.+)", theirs.link).groups()  # type: ignore[union-attr]
        changed = self._changed(path)
        if re.sub(r"([/&])\1+", r"\1", changed) == path:  # the same address, written otherwise
            return
        address = host + changed
        is_own = host == "http://testserver/"
        get: Callable[..., Any] = client.get if is_own else reader.get
        try:
            answer = get(address)
        except httpx.HTTPError:  # the store closes the connection at some malformed addresses
            self._codes["link closed"] += 1
            return
        self._count("link", answer.status_code)
        if answer.status_code < 300 and answer.content.startswith((b"\x89PNG", b"\xff\xd8")):
            self._findings.append(f"a changed link was read: {address}")

    def _changed(self, text: str) -> str:
        """Return a text with one character replaced, removed or doubled."""
        at = self._random.randrange(len(text))
        other = self._random.choice("0aZ_-./%=&;")
        middle = self._random.choice([other, "", text[at] * 2])
        return text[:at] + middle + text[at + 1 :]

    def _revoke(self, client: TestClient, table: TokenTable) -> None:
        """Check that a token works from its creation to its revocation, and not a request longer."""
        name = f"trial {time.monotonic_ns()}"
        sent, _ = table.create("trial7", name, ["edit"])
        codes = [self._ask(client, sent)]
        table.revoke(digest_of(sent))
        codes += [self._ask(client, sent), self._ask(client, sent)]
        if codes != [400, 401, 401]:
            self._findings.append(f"a token that was created and revoked: {codes}")

    def _ask(self, client: TestClient, token: str) -> int:
        code: int = client.post("/v1/crop", headers={"api_token": token}).status_code
        self._count("token", code)
        return code

    def _check(self, what: str, answer: Any, theirs: Belongings) -> None:
        if answer.status_code == 500:
            self._findings.append(f"500: {what}")
        for secret in (b"owner7/", theirs.query.encode()):
            if secret in answer.content and secret.decode() not in what:
                self._findings.append(f"leaked: {what}: {answer.text[:200]}")

    def _count(self, kind: str, code: int) -> None:
        self._codes[f"{kind} {code}"] += 1


if __name__ == "__main__":
    found = run(float(sys.argv[1]) if len(sys.argv) > 1 else 1)
    print("\n".join(found) or "nothing found")
    sys.exit(bool(found))

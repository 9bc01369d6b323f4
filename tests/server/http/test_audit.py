"""The audit log: a line for every request, and nothing in it that callers write or must keep secret."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.requests import ClientDisconnect
from starlette.testclient import TestClient

from models.log_lines import formatter
from server.app import create_app, create_waiting_app
from server.errors import busy_error
from server.http.audit import Audit, open_audit_log, write_line
from server.http.middleware import UnhandledErrors
from server.http.shutdown import Shutdown
from server.settings import Settings
from storage.tokens import digest_of
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import b64, photo
from tests.helpers.routes import routes_of

Lines = Callable[[], list[dict[str, Any]]]
FIELDS = {
    "request_id",
    "job_id",
    "organisation",
    "token",
    "operation",
    "code",
    "bytes_in",
    "bytes_out",
    "ms",
}
PROBES = ("/healthz", "/readyz")
MARK = "m4rk"
"""Is in everything secret that these tests send."""


def written(record: logging.LogRecord) -> str:
    """Return the line that a server writes for a record."""
    return formatter("json").format(record)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """Return the lines since the last call."""
    caplog.set_level(logging.INFO, "retouch.audit")

    def read() -> list[dict[str, Any]]:
        found = list(map(written, caplog.records))
        caplog.clear()
        assert not any("\n" in line or "\r" in line for line in found)
        return [line for line in map(json.loads, found) if line["logger"] == "retouch.audit"]

    return read


def test_a_line_tells_who_did_what(client: TestClient, lines: Lines) -> None:
    body = {"file": b64(photo())}
    answer = client.post("/v1/crop", json=body)
    (line,) = lines()
    assert line.keys() == {"time", "level", "logger", "event", *FIELDS}
    assert line["event"] == "POST /v1/crop 200"
    assert (line["organisation"], line["token"]) == ("a", "environment")
    assert (line["operation"], line["code"]) == ("POST /v1/crop", 200)
    assert line["bytes_in"] == len(answer.request.content)
    assert line["bytes_out"] == len(answer.content)
    assert line["ms"] > 0


def test_the_name_of_a_token_is_told_also_after_its_revocation(
    client: TestClient, lines: Lines
) -> None:
    tokens = client.app.state.dependencies.tokens  # type: ignore[attr-defined]
    sent, _ = tokens._table.create("acme", "ci", ["edit"])
    client.post("/v1/crop", headers={"api_token": sent})
    client.get("/capabilities", headers={"api_token": sent})
    tokens._table.revoke(digest_of(sent))
    client.post("/v1/crop", headers={"api_token": sent})
    found = lines()
    assert {(line["organisation"], line["token"]) for line in found} == {("acme", "ci")}
    assert [line["code"] for line in found] == [400, 403, 401]


@pytest.mark.parametrize(
    ("method", "path", "operation", "code"),
    [
        ("POST", "/v1/register", "POST /v1/register", 400),
        ("POST", "/v1/upload", "POST /v1/upload", 400),
        ("POST", "/v1//crop/", "POST /v1/crop", 400),
        ("GET", f"/v1/{MARK}/info", "GET /v1/{visual_id}/info", 404),
        ("GET", f"/v2/status/{MARK}", "GET /v2/status/{request_id}", 404),
        ("GET", f"/results/a/{MARK}.png", "GET /results/{key:path}", 403),
        ("HEAD", f"/results/a/{MARK}.png", "HEAD /results/{key:path}", 403),
        ("GET", f"/{MARK}", None, 404),
        ("DELETE", "/v1/crop", "DELETE /v1/crop", 405),
        (MARK, "/v1/crop", "OTHER /v1/crop", 405),
        ("GET", "/healthz", "GET /healthz", 200),
        ("GET", "/capabilities", "GET /capabilities", 200),
        ("GET", "/openapi.json", "GET /openapi.json", 200),
    ],
)
def test_the_operation_is_the_pattern_of_the_route(
    client: TestClient, lines: Lines, method: str, path: str, operation: str | None, code: int
) -> None:
    assert client.request(method, path).status_code == code
    (line,) = lines()
    assert (line["operation"], line["code"]) == (operation, code)


def test_a_probe_has_a_line_only_when_its_answer_changes(
    client: TestClient, lines: Lines, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    def probe() -> list[tuple[str, int]]:
        for path in ("/healthz", "/readyz", "/readyz", "/healthz"):
            client.get(path)
        return [(line["operation"], line["code"]) for line in lines()]

    wait_until(lambda: client.get("/readyz").status_code == 200)
    probe()
    assert probe() == []
    readiness = client.app.state.readiness  # type: ignore[attr-defined]
    readiness.error = "the weights are damaged"
    assert probe() == [("GET /readyz", 503)]
    assert probe() == []
    readiness.error = None
    assert probe() == [("GET /readyz", 200)]


def test_probes_of_a_server_that_fetches_its_weights_have_a_line_each_at_most(
    settings: Settings, lines: Lines
) -> None:
    with TestClient(create_waiting_app(settings, Shutdown(0, 30))) as client:
        for _ in range(3):
            client.get("/healthz")
            client.get("/readyz/")
        assert [line["code"] for line in lines()] == [200, 503]
        for _ in range(2):
            client.post("/healthz")
            assert [line["code"] for line in lines()] == [503]


def test_what_is_no_probe_always_has_a_line(client: TestClient, lines: Lines) -> None:
    for _ in range(2):
        for method, path, code in (
            ("POST", "/healthz", 405),
            ("DELETE", "/readyz", 405),
            ("GET", "/healthz/x", 404),
            ("GET", "/openapi.json", 200),
        ):
            client.request(method, path)
            assert [line["code"] for line in lines()] == [code], (method, path)


async def test_a_probe_that_breaks_off_always_has_a_line(lines: Lines) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["state"]["operation"] = "GET /healthz"
        raise ClientDisconnect

    audit = Audit(UnhandledErrors(app))
    for _ in range(2):
        await audit(
            {"type": "http", "method": "GET", "path": "/healthz", "headers": []}, None, None
        )
        assert [line["code"] for line in lines()] == [499]


def test_an_unknown_caller_has_no_organisation(client: TestClient, lines: Lines) -> None:
    client.post("/v1/crop", headers={"api_token": MARK})
    (line,) = lines()
    assert (line["organisation"], line["token"], line["code"]) == (None, None, 401)


def test_a_fault_a_full_server_and_a_body_that_is_too_large_have_lines(
    client: TestClient, lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        async def check(self, _: str) -> None:
            raise busy_error("The server is busy", 1)

    client.post("/v1/crop", content=b"x" * (41 * 2**20), headers={"content-type": "text/plain"})
    state = client.app.state  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(state.endpoints, "_accept", None)
        client.post("/v1/crop", json={})
    object.__setattr__(state.dependencies, "concurrency_limit", Full())
    client.post("/v1/crop", json={})
    assert [line["code"] for line in lines()] == [413, 500, 429]


async def test_a_caller_who_hangs_up_has_a_line_with_499(lines: Lines) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise ClientDisconnect

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"12345", "more_body": True}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/crop", "headers": []}
    await Audit(UnhandledErrors(app))(scope, receive, send)
    (line,) = lines()
    assert (line["code"], line["bytes_in"], line["bytes_out"]) == (499, 5, 0)


async def test_a_request_that_is_cancelled_has_a_line(lines: Lines) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(60)

    scope = {"type": "http", "method": "POST", "path": "/v1/crop", "headers": []}
    task = asyncio.create_task(Audit(app)(scope, None, None))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(lines()) == 1


def shown_refusals(client: TestClient) -> list[str]:
    """Return what operators are shown of the refused requests."""
    refusals = client.app.state.admin._refusals  # type: ignore[attr-defined]
    return list(map(repr, refusals.latest()))


def test_nothing_secret_is_in_any_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Send marked tokens, prompts, names, links and keys to every route."""
    caplog.set_level(logging.INFO)
    settings = Settings(data_dir=tmp_path, api_tokens=f"a:{MARK}-token", workers=1)
    with TestClient(create_app(settings, FakeModels()), raise_server_exceptions=False) as client:
        token = {"api_token": f"{MARK}-token"}
        link = client.post("/v1/crop", json={"file": b64(photo())}, headers=token).json()
        query = urlsplit(link["result_url"]).query
        prompt = f"{MARK}\r\n{{}}"
        body = {
            **dict.fromkeys(("prompt", "bg_prompt", "instruction", "sid", "object_name"), prompt),
            "image_url": f"http://{MARK}.invalid/{MARK}?{query}",
            MARK: MARK,
        }
        routes = routes_of(client.app)
        sent = 0
        for method, path in routes:
            for name in ("visual_id", "request_id", "key:path", "model_version"):
                path = path.replace(f"{{{name}}}", f"{MARK}-{name[:3]}")
            headers = {**token, "Idempotency-Key": MARK, "user-agent": MARK}
            for given in (headers, {**headers, "api_token": f"{MARK}-wrong"}):
                address = f"{path}?{query}&x={MARK}"
                client.request(method, address, json=body, headers=given)
                sent += path not in PROBES
        refusals = shown_refusals(client)
    assert len(refusals) > 50
    assert not [one for one in refusals if MARK in one]
    found = [written(record) for record in caplog.records if record.name == "retouch.audit"]
    assert sum(not any(f"GET {path}" in line for path in PROBES) for line in found) == sent + 1
    signature = query.partition("signature=")[2]
    for line in found:
        assert MARK not in line
        assert signature not in line


def test_the_lines_can_go_to_a_file_that_is_renamed(tmp_path: Path) -> None:
    log = logging.getLogger("retouch.audit")
    file = tmp_path / "audit.log"
    try:
        assert open_audit_log(str(file)) is None
        fields = {**dict.fromkeys(FIELDS), "code": 404}
        write_line(fields)
        file.rename(tmp_path / "audit.log.1")
        write_line(fields)
        for each in (file, tmp_path / "audit.log.1"):
            (line,) = map(json.loads, each.read_text().splitlines())
            assert line.items() >= fields.items()
            assert line["event"] == "no route 404"
        problem = open_audit_log(str(tmp_path / "missing" / "audit.log"))
        assert problem is not None
        assert problem.startswith("RETOUCH_AUDIT_LOG ")
    finally:
        for handler in list(log.handlers):
            if handler.__class__.__name__ == "WatchedFileHandler":
                log.removeHandler(handler)
                handler.close()
        log.propagate = True
        log.setLevel(logging.NOTSET)


def test_the_log_can_be_off(tmp_path: Path, lines: Lines) -> None:
    settings = Settings(data_dir=tmp_path, audit_log="off")
    with TestClient(create_app(settings, FakeModels())) as client:
        assert client.get("/healthz").status_code == 200
    assert lines() == []

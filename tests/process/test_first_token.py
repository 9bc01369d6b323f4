"""A server in a container makes its first token: printed once, kept over restarts, never replaced."""

import re
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx2 as httpx

from server.first_token import first_token_text
from server.settings import Settings
from tests.helpers.server_process import Server

_STATE = f"/v2/status/{'0' * 32}"
_TIMEOUT_S = 120


def listen(server: Server, **settings: str) -> None:
    """Start a server as an image does, without tokens, and wait until it is ready."""
    server.launch(HOST="0.0.0.0", MAKE_TOKEN="true", **settings)
    assert server.process is not None
    deadline = time.monotonic() + _TIMEOUT_S
    while not (found := re.search(r"running on http://0\.0\.0\.0:(\d+)", server.text())):
        assert server.process.poll() is None, server.text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    server.http.base_url = httpx.URL(f"http://127.0.0.1:{found[1]}")
    while server.http.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline, server.text()
        time.sleep(0.05)


def status(server: Server, token: str) -> int:
    return server.http.get(_STATE, headers={"api_token": token}).status_code


def test_it_is_printed_once_and_works_after_a_restart(stopped: Server) -> None:
    listen(stopped)
    (token,) = re.findall(r"^    (rt_\S+)$", stopped.text(), re.MULTILINE)
    assert stopped.text().count(token) == 1
    assert "tokens create --organisation" in stopped.text()
    assert (status(stopped, token), status(stopped, "me")) == (404, 401)
    assert stopped.end() == 0
    listen(stopped)
    assert "rt_" not in stopped.text()
    assert "tokens create --organisation" in stopped.text()
    assert (status(stopped, token), status(stopped, "me")) == (404, 401)
    assert stopped.end() == 0
    with closing(sqlite3.connect(stopped.data / "records.db")) as database:
        database.execute("UPDATE tokens SET revoked = created")
        database.commit()
    process = stopped.launch(HOST="0.0.0.0", MAKE_TOKEN="true")
    assert process.wait(_TIMEOUT_S) == 2
    assert "so RETOUCH_API_TOKENS must be set" in stopped.text()
    assert "rt_" not in stopped.text()


def test_none_is_made_where_none_is_needed_or_allowed(tmp_path: Path) -> None:
    public = {"data_dir": tmp_path, "host": "0.0.0.0"}
    assert first_token_text(Settings(**public)) is None
    assert first_token_text(Settings(data_dir=tmp_path, make_token=True)) is None
    assert first_token_text(Settings(**public, make_token=True, api_tokens="a:b")) is None
    assert list(tmp_path.iterdir()) == []

"""The example programs of docs/examples edit a picture on a real server, wait when it is busy, and tell a 460."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2 as httpx
import pytest

from tests.helpers.places import PHOTOS, ROOT
from tests.helpers.server_process import Server, whole_picture

EXAMPLES = ROOT / "docs" / "examples"
PROGRAMS = {
    "edit.py": [sys.executable],
    "edit.sh": ["sh"],
    "edit.mjs": ["node"],
    "edit.php": ["php"],
    "edit.go": ["go", "run"],
}
_BUSY = ("POST", "GET")
"""The methods whose first request to the proxy is answered with 429."""


class Proxy(ThreadingHTTPServer):
    """Hands requests on to a server, after one 429 for each method; keeps the keys of all POSTs."""

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.busy = list(_BUSY)
        self.keys: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_POST(self) -> None:
        self.server.keys.append(self.headers["Idempotency-Key"])
        self._hand_on()

    def do_GET(self) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.command in self.server.busy:
            self.server.busy.remove(self.command)
            self._answer(httpx.Response(429, headers={"Retry-After": "0"}, json={"error": "busy"}))
            return
        headers = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection")}
        url = self.server.target + self.path
        self._answer(httpx.request(self.command, url, content=body, headers=headers, timeout=120))

    def _answer(self, answer: httpx.Response) -> None:
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Retry-After"):
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def proxy(running: Server) -> Iterator[Proxy]:
    """A server that is busy at first."""
    with Proxy(f"http://127.0.0.1:{running.port()}") as proxy:
        thread = Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield proxy
        proxy.shutdown()
        thread.join()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest) -> str:
    """The name of an example whose language is installed."""
    tool = PROGRAMS[request.param][0]
    if shutil.which(tool) is None:
        if "CI" in os.environ and tool != "go":
            pytest.fail(f"{tool} is missing: .ci/run installs it")
        pytest.skip(f"{tool} is not installed")
    return str(request.param)


def run(
    program: str, source: str | Path, folder: Path, proxy: Proxy
) -> subprocess.CompletedProcess[str]:
    """Run an example, which writes cutout.png into a folder."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "API_URL": f"http://127.0.0.1:{proxy.server_port}",
        "API_TOKEN": "secret-a",
    }
    command = [*PROGRAMS[program], EXAMPLES / program, source, folder / "cutout.png"]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=300
    )


def test_an_example_saves_the_file_though_the_server_is_busy_first(
    program: str, tmp_path: Path, proxy: Proxy
) -> None:
    done = run(program, PHOTOS / "astronaut.jpg", tmp_path, proxy)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert whole_picture((tmp_path / "cutout.png").read_bytes()) == (512, 512)
    assert proxy.busy == []
    assert len(proxy.keys) == 2
    assert len(set(proxy.keys)) == 1


def test_an_example_tells_that_the_server_cannot_fetch_the_picture(
    program: str, tmp_path: Path, proxy: Proxy
) -> None:
    done = run(program, "http://127.0.0.1:9/a.jpg", tmp_path, proxy)
    assert done.returncode == 1
    assert "the server cannot fetch http://127.0.0.1:9/a.jpg: " in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cutout.png").exists()


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.iterdir()} == set(PROGRAMS)

"""Runs the commands of the Dockerfile and of compose: server, health checks, store, bucket."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from server.settings import Settings
from tests.deploy.files import COMPOSE, instruction, read
from tests.helpers.server_process import Server

SERVICES = read(COMPOSE)["services"]
KEY = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a-secret-of-the-test"}
_TIMEOUT_S = 60


def _python(words: list[str]) -> list[str]:
    """Replace the path of the image's Python by that of this environment."""
    assert words[0] == "/venv/bin/python"
    return [sys.executable, *words[1:]]


def _health(port: int) -> int:
    environment = {**os.environ, "RETOUCH_PORT": str(port)}
    command = _python(instruction("HEALTHCHECK"))
    done = subprocess.run(command, env=environment, capture_output=True, timeout=30, check=False)
    return done.returncode


def _free_port() -> int:
    """Return a free port whose number plus 10,000 is free too: SeaweedFS uses that for gRPC."""
    for port in range(20000 + os.getpid() % 5000, 50000):
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def test_the_command_of_the_image_serves_and_its_health_check_passes(
    tmp_path: Path, weights_dir: Path, lite: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, weights_dir)
    launched = subprocess.Popen
    command = _python(instruction("CMD"))
    monkeypatch.setattr(subprocess, "Popen", lambda _, **rest: launched(command, **rest))
    try:
        server.start(PRELOAD="true")
        monkeypatch.undo()
        assert _health(server.port()) == 0
        assert server.end() == 0
        assert _health(server.port()) != 0
    finally:
        server.close()


class _NotReady(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as a server that is still loading its models."""
        self.send_response(503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def test_the_health_check_fails_while_the_server_is_not_ready() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _NotReady) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert _health(server.server_port) != 0
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("text", "port"),
    [
        (None, 8000),
        ("", 8000),
        (" \r", 8000),
        ("tcp://10.0.0.1:80", 8000),
        ("8123", 8123),
        (" 8123\r\n", 8123),
    ],
)
def test_the_health_check_uses_the_port_of_the_server(
    text: str | None, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RETOUCH_PORT", raising=False)
    if text is not None:
        monkeypatch.setenv("RETOUCH_PORT", text)
    urls: list[str] = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: urls.append(url))
    exec(instruction("HEALTHCHECK")[-1], {})
    assert urls == [f"http://127.0.0.1:{port}/readyz"]
    assert Settings().port == port


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The S3 port of a SeaweedFS started as in compose, but on free ports and on loopback only."""
    folder = tmp_path_factory.mktemp("store")
    ports: dict[str, int] = {}
    taken: list[socket.socket] = []
    for name in ("s3", "master", "volume", "filer"):
        ports[name] = _free_port()
        for port in (ports[name], ports[name] + 10000):
            holder = socket.socket()
            holder.bind(("127.0.0.1", port))
            taken.append(holder)
    for holder in taken:
        holder.close()
    command = SERVICES["seaweedfs"]["command"]
    assert "-s3.port=8333" in command
    kept = [word for word in command if not word.startswith(("-s3.port=", "-s3.ip.bind="))]
    own = [f"-{name}.port={port}" for name, port in ports.items()]
    weed = Path(sys.executable).with_name("weed")
    arguments = [weed, *kept, *own, "-s3.ip.bind=127.0.0.1", f"-dir={folder}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, env={**os.environ, **KEY}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _TIMEOUT_S
        while _check_store(ports["s3"]) != 0:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        yield ports["s3"]
    finally:
        process.terminate()
        process.wait(30)


def _check_store(port: int) -> int:
    kind, *words = SERVICES["seaweedfs"]["healthcheck"]["test"]
    assert kind == "CMD"
    words[-1] = words[-1].replace(":8333/", f":{port}/")
    return subprocess.run(words, capture_output=True, timeout=30, check=False).returncode


def _make_bucket(port: int, **key: str) -> subprocess.CompletedProcess[str]:
    service = SERVICES["bucket"]
    (script,) = service["command"]
    return subprocess.run(
        [*service["entrypoint"], script.replace("$$", "$")],
        env={**os.environ, **KEY, **key, "STORE": f"http://127.0.0.1:{port}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_health_check_fails_without_a_store() -> None:
    assert _check_store(_free_port()) != 0


def test_the_bucket_is_created_once_and_may_exist_already(store: int) -> None:
    made, again = _make_bucket(store), _make_bucket(store)
    assert (made.returncode, made.stdout) == (0, "bucket: 200\n")
    assert (again.returncode, again.stdout) == (0, "bucket: 409\n")


def test_no_bucket_is_created_with_a_wrong_key(store: int) -> None:
    refused = _make_bucket(store, AWS_SECRET_ACCESS_KEY="wrong")
    assert (refused.returncode, refused.stdout) == (1, "bucket: 403\n")

"""The server behind a real nginx: with its defaults, and with the lines of docs/proxy.md."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers.proxy_page import documented
from tests.helpers.places import PHOTOS
from tests.helpers.server_process import TOKEN, Server, encoded, sample, whole_picture

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed; .ci/run installs it")

PLAIN = """server {
    listen PORT;
    location / { proxy_pass http://127.0.0.1:8000; }
}"""


class Nginx:
    """nginx in the foreground, as one process of this user, in front of one server."""

    def __init__(self, folder: Path, configuration: str, server: Server) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        sites = configuration.replace("PORT", f"127.0.0.1:{port}")
        paths = "\n".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\nset_real_ip_from 127.0.0.1;\n{paths}\n"
            + sites.replace("127.0.0.1:8000", f"127.0.0.1:{server.port()}")
            + "\n}\n"
        )
        command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        self._errors = folder / "error.log"
        self._process = subprocess.Popen([*command, "-e", str(self._errors)])
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                assert self.http.get("/healthz").status_code == 200
                return
            except httpx.ConnectError:
                assert self._process.poll() is None, self._errors.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def close(self) -> None:
        """Stop it."""
        self.http.close()
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def plain(running: Server, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx with its defaults."""
    nginx = Nginx(tmp_path, PLAIN, running)
    yield nginx.http
    nginx.close()


@pytest.fixture
def configured(running: Server, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx with the lines of the documentation."""
    nginx = Nginx(tmp_path, documented(), running)
    yield nginx.http
    nginx.close()


ELSEWHERE = {"X-Real-IP": "203.0.113.9"}
"""nginx takes a request with this header for one of a caller on another machine."""


def remove(client: httpx.Client, headers: dict[str, str], picture: bytes) -> httpx.Response:
    """Remove the background of a picture."""
    files = {"file": picture}
    return client.post("/v1/background/remove", files=files, headers=headers)


def test_the_defaults_drop_the_header_and_the_answer_says_so(plain: httpx.Client) -> None:
    answer = remove(plain, TOKEN, sample())
    assert answer.status_code == 401
    assert "underscores_in_headers on" in answer.json()["description"]


def test_a_bearer_token_passes_the_defaults(plain: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN['api_token']}"}
    assert remove(plain, bearer, sample()).status_code == 200


def test_the_documented_lines_pass_the_header_large_bodies_and_results(
    configured: httpx.Client,
) -> None:
    with Image.open(PHOTOS / "astronaut.jpg") as photo:
        picture = np.asarray(photo.resize((800, 800)), np.int16)
    grain = np.random.default_rng(0).integers(-8, 8, picture.shape)
    large = encoded(Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)))
    assert len(large) > 1 << 20  # nginx's default limit
    answer = remove(configured, TOKEN, large)
    assert answer.status_code == 200, answer.text
    result = configured.get(answer.json()["result_url"])
    assert whole_picture(result.content) == (800, 800)


def test_the_defaults_refuse_a_large_body(plain: httpx.Client) -> None:
    bearer = {"Authorization": f"Bearer {TOKEN['api_token']}"}
    assert remove(plain, bearer, b"\xff" * (2 << 20)).status_code == 413


@pytest.mark.parametrize("page", ["/docs", "/capabilities", "/metrics"])
def test_the_defaults_make_every_caller_local(page: str, plain: httpx.Client) -> None:
    assert plain.get(page, headers=ELSEWHERE).status_code == 200


@pytest.mark.parametrize("page", ["/docs", "/capabilities", "/metrics"])
@pytest.mark.parametrize("claim", [{}, {"X-Forwarded-For": "127.0.0.1"}])
def test_the_documented_lines_tell_who_is_elsewhere(
    page: str, claim: dict[str, str], configured: httpx.Client
) -> None:
    assert configured.get(page, headers=ELSEWHERE | claim).status_code == 401
    assert configured.get(page).status_code == 200  # from this machine

"""The server behind nginx with its defaults, and behind nginx and Apache with the lines of docs/proxy.md."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image

from tests.helpers.places import PHOTOS
from tests.helpers.proxy_page import documented_apache, documented_nginx
from tests.helpers.server_process import TOKEN, Server, encoded, sample, whole_picture

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
APACHE = shutil.which("apache2", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
pytestmark = pytest.mark.skipif(
    NGINX is None or APACHE is None,
    reason="nginx or apache2 is not installed; .ci/run installs both",
)

PLAIN = """server {
    listen PORT;
    location / { proxy_pass http://127.0.0.1:8000; }
}"""


class Proxy:
    """A proxy in the foreground, as processes of this user, in front of one server."""

    def __init__(self, command: list[str], port: int, errors: Path) -> None:
        self._errors = errors
        self._process = subprocess.Popen(command)
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


def nginx(folder: Path, configuration: str, server: Server) -> Proxy:
    """Start nginx, which takes this machine's X-Real-IP for the address of the caller."""
    port = free_port()
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
    errors = folder / "error.log"
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(errors)]
    return Proxy(command, port, errors)


def apache(folder: Path, configuration: str, server: Server) -> Proxy:
    """Start Apache, which takes this machine's X-Real-IP for the address of the caller."""
    port = free_port()
    modules = ("mpm_event", "authz_core", "proxy", "proxy_http", "headers", "remoteip")
    lines = [
        f"ServerRoot {folder}",
        f"Listen 127.0.0.1:{port}",
        "ServerName edit.example.com",
        f"PidFile {folder}/pid",
        f"ErrorLog {folder}/error.log",
        f"Mutex file:{folder}",
        *(f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in modules),
        *(["User www-data", "Group www-data"] if os.geteuid() == 0 else []),
        "RemoteIPHeader X-Real-IP",
        "RemoteIPInternalProxy 127.0.0.1",
        configuration.replace("127.0.0.1:8000", f"127.0.0.1:{server.port()}"),
    ]
    (folder / "httpd.conf").write_text("\n".join(lines) + "\n")
    command = [str(APACHE), "-f", str(folder / "httpd.conf"), "-D", "FOREGROUND"]
    return Proxy(command, port, folder / "error.log")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def plain(running: Server, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx with its defaults."""
    with closing(nginx(tmp_path, PLAIN, running)) as proxy:
        yield proxy.http


@pytest.fixture(params=["nginx", "apache"])
def configured(
    request: pytest.FixtureRequest, running: Server, tmp_path: Path
) -> Iterator[httpx.Client]:
    """A client of a proxy with the lines of the documentation."""
    if request.param == "nginx":
        proxy = nginx(tmp_path, documented_nginx(), running)
    else:
        proxy = apache(tmp_path, documented_apache(), running)
    with closing(proxy):
        yield proxy.http


ELSEWHERE = {"X-Real-IP": "203.0.113.9"}
"""A proxy here takes a request with this header for one of a caller on another machine."""


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
    link = answer.json()["result_url"].replace("https://", "http://")  # Apache's lines are for TLS
    result = configured.get(link)
    assert whole_picture(result.content) == (800, 800)


def test_the_documented_lines_pass_a_refusal_to_who_waits_for_100_continue(
    configured: httpx.Client, tmp_path: Path
) -> None:
    """curl sends `Expect: 100-continue` with a large body."""
    (tmp_path / "body").write_bytes(bytes(2 << 20))
    address = f"{configured.base_url}/v1/background/remove"
    command = ["curl", "--silent", "--form", f"file=@{tmp_path}/body", address]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["code"] == 401


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

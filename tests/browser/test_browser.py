"""A page of another origin calls the API in a real browser and reads the results from a canvas."""

import json
import os
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.browser import chromium_path, served
from tests.helpers.places import PHOTOS

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
FILES = {
    "/page.html": (Path(__file__).parent / "page.html", "text/html; charset=utf-8"),
    "/photo.jpg": (PHOTOS / "chelsea.jpg", "image/jpeg"),
}


@pytest.fixture
def browser() -> str:
    """The path of a browser; without one the test is skipped, but fails in CI."""
    return chromium_path()


@pytest.fixture
def api(lite: Pool, tmp_path: Path) -> Iterator[str]:
    """The base address of a server on a free loopback port."""
    with served(Settings(data_dir=tmp_path / "data", workers=2), lite) as address:
        yield f"{address}v1"


@pytest.fixture
def page() -> Iterator[tuple[str, "queue.Queue[dict[str, Any]]"]]:
    """The address of the page, on its own port and so its own origin, and a queue of its reports."""
    reports: queue.Queue[dict[str, Any]] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, kind = FILES.get(self.path.partition("?")[0], (None, ""))
            content = path.read_bytes() if path else b""
            self.send_response(200 if path else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/page.html", reports
        server.shutdown()
        thread.join()


def visit(browser: str, address: str, reports: "queue.Queue[dict[str, Any]]", profile: Path) -> Any:
    """Open a page and return what it reports within two minutes."""
    command = [browser, *FLAGS, f"--user-data-dir={profile}", address]
    log = profile.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return reports.get(timeout=120)
        except queue.Empty:
            pytest.fail("the page did not report; log of the browser:\n" + log.read_text()[-2000:])
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_page_of_another_origin_edits_and_reads_the_results(
    browser: str, api: str, page: tuple[str, "queue.Queue[dict[str, Any]]"], tmp_path: Path
) -> None:
    address, reports = page
    found = visit(browser, f"{address}?api={api}", reports, tmp_path / "profile")
    assert "error" not in found, found
    assert found["control"] == "SecurityError", "without CORS the canvas is tainted"
    assert found["poll"]["status"] == 206
    assert found["poll"]["range"].startswith("bytes 0-0/")
    for edit in ("eraser", "objects"):
        assert found[edit]["middle"] > 500
        assert found[edit]["rest"] == 0
    assert found["alpha"] == {"least": 0, "most": 255}
    assert found["type"] == "image/png"
    assert found["sid"].endswith(".JPEG")
    assert found["refused"] == {"status": 401, "code": 401}

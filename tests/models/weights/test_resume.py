"""An interrupted download is resumed where it stopped, from a real web server on loopback."""

import hashlib
import multiprocessing
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from models.catalog.source import Address, WeightFile
from models.errors import WeightsUnavailableError
from models.weights.download import fetch
from models.weights.resume import CHUNK, RETRIES

BODY = np.random.default_rng(0).bytes(5 * CHUNK + 12_345)
HALF = 2 * CHUNK + 77


@dataclass
class Site:
    """A web server that closes connections early on request. It records each Range and the bytes sent."""

    body: bytes = BODY
    closes_after: list[int] = field(default_factory=list)
    """Number of bytes of each of the next answers after which the connection is closed."""
    ranges: bool = True
    versions: bool = True
    """Whether answers have an ETag."""
    content_range: str = ""
    """A wrong Content-Range for answers with status 206."""
    statuses: list[int] = field(default_factory=list)
    """Status of each of the next answers. Only 200 has a body."""
    chunked: bool = False
    requested: list[str | None] = field(default_factory=list)
    served: int = 0
    url: str = ""

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    """Return a handler that answers as `site` says, and records the requests there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            wanted = self.headers.get("Range")
            site.requested.append(wanted)
            assert self.headers.get("Accept-Encoding") == "identity"
            status = site.statuses.pop(0) if site.statuses else 200
            start = 0
            if wanted and site.ranges and self.headers.get("If-Range") == site.etag:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if status != 200:
                self.send_empty(status)
            elif start >= len(site.body):
                self.send_empty(416, f"bytes */{len(site.body)}")
            else:
                self.send_head(start)
                self.send_body(site.body[start:])

        def send_empty(self, status: int, content_range: str = "") -> None:
            self.send_response(status)
            if content_range:
                self.send_header("Content-Range", content_range)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_head(self, start: int) -> None:
            total = len(site.body)
            self.send_response(206 if start else 200)
            if start:
                stated = site.content_range or f"bytes {start}-{total - 1}/{total}"
                self.send_header("Content-Range", stated)
            if site.versions:
                self.send_header("ETag", site.etag)
            if site.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()

        def send_body(self, body: bytes) -> None:
            end = site.closes_after.pop(0) if site.closes_after else len(body)
            site.served += len(body[:end])
            if not site.chunked:
                self.wfile.write(body[:end])
                return
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body[:end]), body[:end]))
            if end >= len(body):
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("models.weights.resume.FIRST_DELAY_S", 0.01)
    made = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}/net.bin"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def file_at(url: str, *, size: int | None = len(BODY)) -> WeightFile:
    return WeightFile("net.bin", hashlib.sha256(BODY).hexdigest(), size, (Address(url),))


def interrupt(site: Site, folder: Path) -> None:
    """Leave the first HALF bytes in `folder`, as a failed run does."""
    site.closes_after, site.statuses = [HALF], [200, 404]
    with pytest.raises(WeightsUnavailableError, match="404"):
        fetch(file_at(site.url), folder)
    assert sum(path.stat().st_size for path in folder.glob("*.part")) == HALF
    site.requested.clear()
    site.served = 0


def is_complete(folder: Path) -> bool:
    """Whether the folder has the correct file and nothing else."""
    names = [path.name for path in folder.iterdir()]
    return names == ["net.bin"] and (folder / "net.bin").read_bytes() == BODY


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_an_interrupted_download_is_resumed_in_the_same_run(
    tmp_path: Path, site: Site, size: int | None, chunked: bool
) -> None:
    site.closes_after, site.chunked = [HALF, CHUNK], chunked
    fetch(file_at(site.url, size=size), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [None, f"bytes={HALF}-", f"bytes={HALF + CHUNK}-"]
    assert site.served == len(BODY)


def test_the_next_run_resumes_a_failed_download(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    reports: list[tuple[int, int]] = []
    fetch(file_at(site.url), tmp_path, lambda _, done, total: reports.append((done, total)))
    assert is_complete(tmp_path)
    assert site.requested == [f"bytes={HALF}-"]
    assert site.served == len(BODY) - HALF
    assert reports[0] == (HALF, len(BODY))
    assert reports[-1] == (len(BODY), len(BODY))


def test_a_server_without_ranges_sends_the_whole_file_again(tmp_path: Path, site: Site) -> None:
    site.ranges, site.closes_after = False, [HALF]
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.served == HALF + len(BODY)


def test_a_file_without_a_version_is_never_resumed(tmp_path: Path, site: Site) -> None:
    site.versions, site.closes_after = False, [HALF]
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [None, None]


def test_a_file_that_changed_between_two_tries_is_fetched_again(tmp_path: Path, site: Site) -> None:
    site.body = bytes(len(BODY))
    interrupt(site, tmp_path)
    site.body = BODY
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [f"bytes={HALF}-"]
    assert site.served == len(BODY)


def test_after_a_refused_range_the_whole_file_is_requested(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    site.statuses = [416]
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [f"bytes={HALF}-", None]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        f"bytes 0-{len(BODY) - 1}/{len(BODY)}",
        f"bytes {HALF + 1}-{len(BODY) - 1}/{len(BODY)}",
        f"bytes {HALF}-{len(BODY)}/{len(BODY) + 1}",
        f"bytes {HALF}-{HALF - 1}/{len(BODY)}",
        "bytes -1-5/6",
        "none",
    ],
)
def test_an_answer_with_another_range_is_not_used(tmp_path: Path, site: Site, wrong: str) -> None:
    interrupt(site, tmp_path)
    site.content_range = wrong or "bytes"
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [f"bytes={HALF}-", None]


def test_a_part_that_is_corrupt_on_disk_is_fetched_again(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(bytes(HALF))
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [f"bytes={HALF}-", None]


def test_a_part_larger_than_the_file_is_fetched_again(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(BODY + b"more")
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [None]


def test_a_complete_part_needs_no_request(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(BODY)
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == []


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_fails_and_nothing_is_left(
    tmp_path: Path, site: Site, chunked: bool
) -> None:
    site.body, site.chunked = BODY + bytes(8 * CHUNK), chunked
    with pytest.raises(WeightsUnavailableError, match=f"more than the expected {len(BODY)} bytes"):
        fetch(file_at(site.url), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert site.requested == [None]


def test_a_busy_server_is_retried_and_a_missing_file_is_not(tmp_path: Path, site: Site) -> None:
    site.statuses = [503, 429]
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert len(site.requested) == 3

    (tmp_path / "net.bin").unlink()
    site.requested.clear()
    site.statuses = [404]
    with pytest.raises(WeightsUnavailableError, match="404"):
        fetch(file_at(site.url), tmp_path)
    assert len(site.requested) == 1


def test_a_source_that_sends_too_little_fails_and_its_bytes_are_kept(
    tmp_path: Path, site: Site
) -> None:
    site.closes_after = [10] * 100
    with pytest.raises(WeightsUnavailableError):
        fetch(file_at(site.url), tmp_path)
    assert len(site.requested) == RETRIES + 1
    assert sum(path.stat().st_size for path in tmp_path.glob("*.part")) == 10 * (RETRIES + 1)
    site.closes_after = []
    fetch(file_at(site.url), tmp_path)
    assert is_complete(tmp_path)
    assert site.served == len(BODY)


def test_parts_from_other_sources_are_removed_when_the_file_is_complete(
    tmp_path: Path, site: Site
) -> None:
    interrupt(site, tmp_path)
    other = site.url.replace("net.bin", "mirror.bin")
    fetch(file_at(other), tmp_path)
    assert is_complete(tmp_path)
    assert site.requested == [None]


def _fetch_in_process(url: str, folder: Path) -> None:
    fetch(file_at(url), folder)


def test_two_processes_at_the_same_time_fetch_a_file_once(tmp_path: Path, site: Site) -> None:
    interrupt(site, tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_fetch_in_process, args=(site.url, tmp_path)) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert is_complete(tmp_path)
    assert site.served == len(BODY) - HALF

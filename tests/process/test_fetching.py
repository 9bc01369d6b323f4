"""Pictures by address: which ones the real server fetches, and which it never requests."""

import contextlib
import gzip
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote

import pytest

from tests.helpers.server_process import Server, sample, whole_picture

PICTURE = sample("coffee", 120)
LARGEST = 12 * 2**20
LARGEST_BODY = 8 * 2**20
"""Of the server that these tests share."""


class Pictures(BaseHTTPRequestHandler):
    """A host that serves one picture in many correct and incorrect ways."""

    protocol_version = "HTTP/1.1"
    requests: list[str] = []

    def do_GET(self) -> None:
        """Send the answer that the path names."""
        self.requests.append(self.path)
        name, _, argument = self.path.lstrip("/").partition("/")
        with contextlib.suppress(ConnectionError):
            getattr(self, f"give_{name}")(argument)
        self.close_connection = True

    def give(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Send a complete answer."""
        self.send_response(status)
        for header, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def give_picture(self, _: str) -> None:
        """Send the picture with a wrong content type."""
        self.give(PICTURE, Content_Type="text/html; charset=nonsense")

    def give_padded(self, size: str) -> None:
        """Send the picture with zeros after its end."""
        self.give(PICTURE + bytes(int(size)))

    def give_steps(self, count: str) -> None:
        """Redirect a number of times, then send the picture."""
        steps = int(count)
        target = f"/steps/{steps - 1}" if steps else "/picture"
        self.give(b"", 302, Location=target)

    def give_to(self, address: str) -> None:
        """Redirect to the address in the path."""
        self.give(b"", 307, Location=unquote(address))

    def give_empty(self, _: str) -> None:
        """Send an empty file."""
        self.give(b"")

    def give_missing(self, _: str) -> None:
        """Answer 404."""
        self.give(PICTURE, 404)

    def give_packed(self, _: str) -> None:
        """Send the picture compressed, which was not requested."""
        self.give(gzip.compress(PICTURE), Content_Encoding="gzip")

    def give_left(self, _: str) -> None:
        """Send the picture with a header as the uploads of S3 leave it."""
        self.give(PICTURE, Content_Encoding="aws-chunked,")

    def give_unknown(self, _: str) -> None:
        """Send the picture in a compression that is not supported."""
        self.give(PICTURE, Content_Encoding="br")

    def give_bomb(self, _: str) -> None:
        """Send a small file that decompresses to more than is allowed."""
        self.give(gzip.compress(bytes(LARGEST + 1)), Content_Encoding="gzip")

    def give_declared(self, size: str) -> None:
        """Declare a size and send nothing more."""
        self.send_response(200)
        self.send_header("Content-Length", size)
        self.end_headers()

    def give_endless(self, __: str) -> None:
        """Send data without end and without a declared size."""
        self.send_response(200)
        self.end_headers()
        for _ in range(2 * LARGEST // 2**16):
            self.wfile.write(bytes(2**16))

    def give_drops(self, _: str) -> None:
        """Send single bytes with pauses."""
        self.send_response(200)
        self.end_headers()
        for byte in PICTURE[:60]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.2)

    def give_head(self, __: str) -> None:
        """Send headers without end."""
        self.send_response(200)
        for _ in range(100_000):
            self.send_header("X-More", "y" * 100)
        self.end_headers()

    def give_half(self, _: str) -> None:
        """Close the connection in the middle."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(PICTURE)))
        self.end_headers()
        self.wfile.write(PICTURE[: len(PICTURE) // 2])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    """Serve pictures on 127.0.0.1, the only private address that the server may fetch from."""
    service = ThreadingHTTPServer(("127.0.0.1", 0), Pictures)
    service.daemon_threads = True
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{service.server_port}"
    service.shutdown()
    service.server_close()
    thread.join()


@pytest.mark.parametrize("path", ["picture", "steps/3", "to//picture", "packed", "left"])
def test_a_picture_is_fetched(running: Server, host: str, path: str) -> None:
    fields = {"image_url": f"http://{host}/{path}", "bg_prompt": "red", "sync": True}
    answer = running.http.post("/v1/background/replace", json={**fields, "original_quality": True})
    assert answer.status_code == 200, answer.text
    assert whole_picture(running.read(answer.json()["result"][0][0]).content) == (120, 80)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("steps/9", 460),
        ("to/ftp%3A//127.0.0.1/", 460),
        ("to/http%3A//127.0.0.2%3A{port}/picture", 460),
        ("to/http%3A//0.0.0.0%3A{port}/picture", 460),
        ("to/http%3A//%5B%3A%3A1%5D%3A{port}/picture", 460),
        ("to/http%3A//localhost.%3Aabc/", 460),
        ("to/http%3A//169.254.169.254/latest/meta-data/", 460),
        ("to/", 460),
        ("empty", 460),
        ("missing", 460),
        ("unknown", 460),
        ("bomb", 413),
        ("drops", 460),
        ("head", 460),
        ("half", 460),
        (f"declared/{LARGEST + 1}", 413),
        ("endless", 413),
    ],
)
def test_invalid_pictures_and_forbidden_redirects_are_refused(
    running: Server, host: str, path: str, status: int
) -> None:
    before = running.left()
    port = host.partition(":")[2]
    address = f"http://{host}/{path.replace('{port}', port)}"
    answer = running.http.post("/v1/crop", json={"image_url": address})
    assert answer.status_code == status, answer.text
    assert running.left() == before
    assert "Traceback" not in running.text()


@pytest.mark.parametrize(("size", "status"), [(LARGEST_BODY, 460), (LARGEST_BODY + 1, 413)])
def test_a_picture_without_a_limit_may_be_as_large_as_a_body(
    running: Server, host: str, size: int, status: int
) -> None:
    address = f"http://{host}/declared/{size}"
    answer = running.http.post("/v1/background/remove", json={"image_url": address})
    assert answer.status_code == status, answer.text


def test_drawn_masks_are_together_at_most_as_large_as_a_body(running: Server, host: str) -> None:
    visual = running.http.post("/v1/register", files={"file": PICTURE}).json()["visual_id"]
    changes = [{"mask_url": f"http://{host}/padded/{3 * 2**20}"}] * 3
    path = f"/v1/{visual}/objects/remove"
    answer = running.http.post(path, json={"changes": changes})
    assert answer.status_code == 413, answer.text
    assert answer.json()["parameter"] == "changes"
    running.http.post(f"/v1/{visual}/remove_image")


@pytest.mark.parametrize(
    "name",
    [
        "127.0.0.2",
        "127.1.2.3",
        "0.0.0.0",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.2]",
        "[64:ff9b::7f00:2]",
        "2130706434",
        "0x7f.2",
        "0177.0.0.2",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "user@127.0.0.1",
        "127.0.0.1\t",
        "no-such-name.invalid",
    ],
)
def test_private_addresses_are_never_contacted(running: Server, host: str, name: str) -> None:
    mark = quote(name, safe="")
    address = f"http://{name}:{host.partition(':')[2]}/picture/{mark}"
    answer = running.http.post("/v1/crop", json={"image_url": address})
    assert answer.status_code == 460, answer.text
    assert not [path for path in Pictures.requests if path.endswith(f"/picture/{mark}")]

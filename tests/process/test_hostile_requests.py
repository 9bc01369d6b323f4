"""Invalid and hostile requests to the real server: it answers, logs no error and stores nothing."""

import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image

from tests.helpers.server_process import Server, b64, encoded, mask_for, sample, whole_picture

PICTURE = sample()
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    """The module's server; after each test, check that it works and stored nothing."""
    before = running.left()
    yield running
    assert running.http.get("/healthz").status_code == 200
    assert "Traceback" not in running.text()
    assert [file for file in running.left() if file not in before] == []


def refused(answer: httpx.Response, *statuses: int) -> None:
    """Check that an answer is an error with the API's error body."""
    assert answer.status_code in statuses, answer.text
    body = answer.json()
    assert body["code"] == answer.status_code
    assert body["description"] == body["message"] == body["error"]


def send_raw(server: Server, *sent: bytes) -> bytes:
    """Send bytes over a new connection; return everything received until it closes."""
    with socket.create_connection(("127.0.0.1", server.port()), timeout=30) as connection:
        received = b""
        try:
            for part in sent:
                connection.sendall(part)
            while part := connection.recv(65536):
                received += part
        except ConnectionError:
            pass  # the server may close the connection; only what it sent before counts
        return received


def head(path: str = "/v1/crop", method: str = "POST", **headers: str) -> bytes:
    """Return the head of a request with `Connection: close`."""
    all_headers = {"Host": "x", "Connection": "close", "api_token": "secret-a"}
    all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
    if "api-token" in all_headers:
        all_headers["api_token"] = all_headers.pop("api-token")
    lines = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        head(Content_Length="-5"),
        head(Content_Length="99999999999999999999999999"),
        head(Content_Length="5\r\nContent-Length: 6") + b"hello",
        head(Transfer_Encoding="chunked", Content_Type="application/json") + b"ZZ\r\nhello\r\n",
        head(Transfer_Encoding="gzip") + b"hello",
        head(Transfer_Encoding="chunked", Content_Length="5") + b"0\r\n\r\n",
        head(Content_Length="5\r\nContent-Length: 5") + b"hello",
        head().replace(b"\r\n", b"\n"),
        head(X="a\r\n b"),
    ],
)
def test_invalid_http_is_400(server: Server, request_head: bytes) -> None:
    assert send_raw(server, request_head).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("long", [b"GET /%s", b"GET / HTTP/1.1\r\nx: %s", b"x%s: y\r\n" * 30])
def test_an_endless_head_is_refused_before_it_uses_memory(server: Server, long: bytes) -> None:
    piece = b"a" * 1_000_000
    received = send_raw(server, long.split(b"%s")[0], *[piece] * 64)
    assert b" 200 " not in received


def test_the_body_beside_an_offered_upgrade_is_read(server: Server) -> None:
    """Java's client offers HTTP/2 with its first request."""
    body = json.dumps({"file": b64(b"text")}).encode()
    offer = head(
        Connection="Upgrade, HTTP2-Settings, close",
        Upgrade="h2c",
        HTTP2_Settings="AAEAAEAAAAIAAAAB",
        Content_Type="application/json",
        Content_Length=str(len(body)),
    )
    assert send_raw(server, offer, body).startswith(b"HTTP/1.1 415 ")
    assert "WARNING" not in server.text().rsplit("Invalid HTTP", 1)[-1]


@pytest.mark.parametrize("host", ["x", "other.example:8080"])
def test_a_target_in_absolute_form_is_its_path(server: Server, host: str) -> None:
    body = json.dumps({"file": b64(b"text")}).encode()
    target = f"http://{host}//v1/crop?sync=true"
    request = head(target, Content_Type="application/json", Content_Length=str(len(body)))
    assert send_raw(server, request, body).startswith(b"HTTP/1.1 415 ")
    # Without a path it is that of the page for users.
    assert send_raw(server, head(f"http://{host}", "GET")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_grows_when_it_is_decompressed_is_413(server: Server, chunked: bool) -> None:
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(1000)) + packer.flush()
    content = iter([bomb]) if chunked else bomb
    answer = server.http.post(
        "/v1/crop", content=content, headers={**JSON, "content-encoding": "gzip"}
    )
    refused(answer, 413)


def test_a_request_with_expect_100_continue_is_refused_before_its_body(server: Server) -> None:
    waiting = head(api_token="unknown", Expect="100-continue", Content_Length="1000")
    assert send_raw(server, waiting).startswith(b"HTTP/1.1 401 ")


def test_a_caller_who_leaves_during_the_body_is_no_error(server: Server) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"a" * 100
    for kind, body in (("application/json", b'{"file'), ("multipart/form-data; boundary=x", part)):
        for framing in ({"Content_Length": "2000000"}, {"Transfer_Encoding": "chunked"}):
            with socket.create_connection(("127.0.0.1", server.port())) as connection:
                chunk = body if "Content_Length" in framing else b"%x\r\n%s\r\n" % (len(body), body)
                connection.sendall(head(Content_Type=kind, **framing) + chunk)
                # A connection reset instead of a normal close.
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def test_a_slow_body_is_408(server: Server) -> None:
    slow = head(Content_Type="application/json", Content_Length="100")
    assert send_raw(server, slow, b"{").startswith(b"HTTP/1.1 408 ")


def test_idle_connections_do_not_block_other_callers(server: Server) -> None:
    with ExitStack() as idle:
        for number in range(200):
            connection = socket.create_connection(("127.0.0.1", server.port()))
            idle.enter_context(connection)
            connection.sendall(b"POST /v1/crop HTTP/1.1\r\n"[: number % 25])
        assert server.http.get("/healthz").status_code == 200
        refused(server.http.post("/v1/crop", json={}), 400)


def test_callers_are_answered_although_idle_connections_use_up_the_limit(stopped: Server) -> None:
    stopped.descriptors = 200
    server = stopped.start()
    with ExitStack() as idle:
        for _ in range(250):
            idle.enter_context(socket.create_connection(("127.0.0.1", server.port())))
        with httpx.Client(base_url=server.http.base_url, timeout=30) as new:
            assert new.get("/healthz").status_code == 200
    assert "the limit of 66 connections is reached" in server.text()
    assert server.end() == 0
    assert "Traceback" not in server.text()


def test_a_caller_who_ends_its_side_gets_the_answer(server: Server) -> None:
    body = json.dumps({"file": b64(PICTURE)}).encode()
    request = head(Content_Type="application/json", Content_Length=str(len(body))) + body
    with socket.create_connection(("127.0.0.1", server.port()), timeout=60) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
    assert received.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 506 "))
    for file in (server.data / "results").rglob("*.*"):
        file.unlink()


@pytest.mark.parametrize("host", ["[::1", "a b", 'evil.example/"><script>', "a:b:c", "x]"])
def test_an_invalid_host_header_is_harmless(server: Server, host: str) -> None:
    received = send_raw(server, head("/nowhere", "GET", Host=host))
    assert received.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"file":"' + b" " * 1_000_000 + b'x"}', JSON),
        (b'{"file":"' + b"data:" * 200_000 + b'"}', JSON),
        (b'{"file":"' + b"a" * 7_000_000 + b'"}', JSON),
        (b'{"file":"' + b"%" * 1_000_000 + b'"}', JSON),
        (b'{"file":' + b"[" * 100_000 + b"]" * 100_000 + b"}", JSON),
        (b'{"file":[' + b"[]," * 2_000_000 + b"[]]}", JSON),
        (b'{"file":' + b"9" * 1_000_000 + b"}", JSON),
        (b'{"file":"\\ud800"}', JSON),
        (b'{"file":[]}', JSON),
        (b'{"file":[null]}', JSON),
        (b'{"file":{}}', JSON),
        (b'{"image_url":"http://' + b"a." * 1_000_000 + b'"}', JSON),
        (b"[1]", JSON),
        (b"\xff\xfe", JSON),
        (b"file=" + b"%41" * 2_000_000, FORM),
        (b"file=" + b"+" * 1_000_000, FORM),
        (b"a=b&" * 100_000, FORM),
        (b"%", FORM),
    ],
)
def test_hostile_bodies_are_refused(server: Server, body: bytes, headers: dict[str, str]) -> None:
    refused(server.http.post("/v1/crop", content=body, headers=headers), 400, 415, 460)


@pytest.mark.parametrize("depth", [50, 150, 400, 900])
def test_nesting_is_refused_at_any_depth(server: Server, depth: int) -> None:
    body = b'{"changes":' + b"[" * depth + b"]" * depth + b"}"
    answer = server.http.post("/v1/0123456789abcdef/objects/remove", content=body, headers=JSON)
    refused(answer, 400, 404)


@pytest.mark.parametrize(
    "parts",
    [
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nv\r\n' * 20_000,
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nv\r\n' * 1000,
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n'
        + b"x: y\r\n" * 50_000
        + b"\r\nv\r\n",
        b'--x\r\nContent-Disposition: form-data; filename="f"\r\n\r\nv\r\n',
        b"--x\r\n\r\nv\r\n",
        b"--x",
        b"\r\n" * 1_000_000,
        b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + b"\r\n--" * 1_000_000,
    ],
)
def test_hostile_multipart_bodies_are_refused(server: Server, parts: bytes) -> None:
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = server.http.post("/v1/crop", content=parts + b"\r\n--x--\r\n", headers=kind)
    refused(answer, 400, 415)


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, bits: int, kind: int, data: bytes, extra: bytes = b"") -> bytes:
    """Return a PNG file with `data` as its uncompressed pixel data."""
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(data, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


PIXELS = bytes(61 * 20)


def zeros() -> bytes:
    """Return 64 MB of zeros, compressed."""
    return zlib.compress(bytes(1 << 26), 9)


HOSTILE: dict[str, tuple[Callable[[], bytes], tuple[int, ...]]] = {
    "empty": (lambda: b"", (400,)),
    "text": (lambda: b"text", (415,)),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", (415,)),
    "10,000 x 10,000 in 12 kB": (lambda: png(10_000, 10_000, 1, 0, bytes(1251 * 10_000)), (413,)),
    "2 billion wide": (lambda: png(2**31 - 1, 1, 8, 2, b""), (413,)),
    "a line of 60 million": (lambda: png(60_000_000, 1, 8, 2, b""), (413,)),
    "64 MP of nothing": (lambda: png(8192, 8192, 8, 6, bytes(1000)), (400,)),
    "64 MB of pixels too many": (lambda: png(20, 20, 8, 2, bytes(1 << 26)), (200, 506)),
    "64 MB of profile": (
        lambda: png(20, 20, 8, 2, PIXELS, chunk(b"iCCP", b"x\0\0" + zeros())),
        (200, 506),
    ),
    "64 MB of text": (
        lambda: png(20, 20, 8, 2, PIXELS, chunk(b"zTXt", b"x\0\0" + zeros())),
        (200, 506),
    ),
    "60,000 chunks": (lambda: png(20, 20, 8, 2, PIXELS, chunk(b"tEXt", b"a\0b") * 60_000), (400,)),
    "half a JPEG": (lambda: PICTURE[: len(PICTURE) // 2], (400,)),
    "5 MB of fill bytes": (lambda: b"\xff\xd8" + b"\xff" * 5_000_000, (400,)),
    "WebP without pixels": (lambda: b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\x10" + bytes(9), (400,)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pictures_are_refused_or_cost_little(server: Server, name: str) -> None:
    make, statuses = HOSTILE[name]
    answer = server.http.post("/v1/erase_foreground", files={"file": make()})
    if answer.status_code == 200:
        assert server.read(answer.json()["result_url"]).status_code == 200
        for file in (server.data / "results").rglob("*.png"):
            file.unlink()
    assert answer.status_code in statuses, answer.text


SIZES = [(1, 1), (30_500, 2)]
EDITS = [
    ("background/remove", {}),
    ("background/blur", {"force_rmbg": True}),
    ("background/replace", {"bg_prompt": "red", "sync": True, "num_results": 1}),
    ("crop", {"padding": 2}),
    ("eraser", {"mask_type": "automatic"}),
    ("erase_foreground", {}),
    ("image_expansion", {"canvas_size": [90, 70], "seed": -(2**63)}),
    ("image/increase_resolution", {}),
    ("objects/mask_generator", {}),
]
OF_VISUAL: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "info", {}),
    ("GET", "person/info", {}),
    ("GET", "objects/info", {}),
    ("GET", "background/info", {}),
    ("GET", "blur_bg", {}),
    ("GET", "increase_resolution", {}),
    ("POST", "objects/mask_generator", {}),
    ("POST", "image_to_psd", {}),
    ("POST", "objects/remove", {"changes": [{"mask_id": 1}], "desired_resolution": "nhd"}),
    ("POST", "create", {"changes": [{"id": "x", "actions": {"smile": 1}}]}),
    ("POST", "remove_image", {}),
]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_route_answers_for_any_shape_of_picture(
    running: Server, width: int, height: int
) -> None:
    picture = encoded(Image.linear_gradient("L").resize((width, height)).convert("RGB"))
    fields = {"file": b64(picture), "mask_file": b64(mask_for(picture))}
    for route, more in EDITS:
        answer = running.http.post(f"/v1/{route}", json={**fields, **more})
        assert answer.status_code in (200, 406, 506), (route, answer.text)
        if "result_url" in answer.json():
            assert whole_picture(running.read(answer.json()["result_url"]).content) > (0, 0)
    visual = running.http.post("/v1/register", json=fields).json()["visual_id"]
    for method, route, body in OF_VISUAL:
        answer = running.http.request(method, f"/v1/{visual}/{route}", json=body or None)
        assert answer.status_code in (200, 406, 413, 506), (route, answer.text)
    assert "Traceback" not in running.text()

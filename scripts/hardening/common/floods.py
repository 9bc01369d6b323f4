"""Floods of requests with which one caller may try to hold up the others."""

import io
import json
import socket
import time
import uuid
from collections.abc import Mapping

import httpx2 as httpx
from PIL import Image, ImageDraw

from tests.helpers.server_process import b64, sample

FLOOD_TOKEN = "flood"  # noqa: S105 - the server has no tokens
_JSON = {"Content-Type": "application/json"}
_FORM = "multipart/form-data; boundary=x"


def _caller() -> httpx.Client:
    return httpx.Client(headers={"api_token": FLOOD_TOKEN}, timeout=600)


def slow_sender(url: str) -> None:
    """Send a body one byte a second."""
    with _connection(url) as connection:
        connection.sendall(
            b"POST /v1/crop HTTP/1.1\r\nHost: x\r\napi_token: flood\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
        )
        while True:
            connection.sendall(b" ")
            time.sleep(1)


def silent_address(url: str) -> None:
    """Send the address of a host that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent, _caller() as http:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/picture.png"
        http.post(f"{url}/v1/crop", json={"image_url": address})


def costly_body(url: str) -> None:
    """Send a picture of 12 megapixels in 4 kB; its objects take tens of seconds to find."""
    with _caller() as http:
        body = {"file": b64(large_picture())}
        while True:
            _post(http, f"{url}/v1/objects/mask_generator", body)


def jobs(url: str) -> None:
    """Queue jobs that take about a second each, as many as are accepted."""
    with _caller() as http:
        body = {"file": b64(sample("coffee", 600)), "sync": False}
        while True:
            _post(http, f"{url}/v1/background/remove", body)


def status_polls(url: str) -> None:
    """Ask for the state of requests without a pause."""
    with _caller() as http:
        _post(http, f"{url}/v1/crop", {"file": b64(sample(width=100)), "sync": False})
        while True:
            http.get(f"{url}/v2/status/{uuid.uuid4().hex}")


def large_visuals(url: str) -> None:
    """Register large pictures and ask for their objects."""
    with _caller() as http:
        while True:
            registered = _post(http, f"{url}/v1/register", {"file": b64(large_picture())})
            if "visual_id" in registered:
                http.get(f"{url}/v1/{registered['visual_id']}/objects/info")


def refused(url: str) -> None:
    """Send pictures of 8 MB and more requests than there are places, without a pause."""
    with _caller() as http:
        body = {"file": "A" * 8_000_000}
        while True:
            _post(http, f"{url}/v1/crop", body)


def many_parts(url: str) -> None:
    """Send forms of 20,000 parts, which are refused."""
    with _caller() as http:
        while True:
            _answered(http.post(f"{url}/v1/crop", content=_form(), headers={"Content-Type": _FORM}))


def many_keys(url: str) -> None:
    """Send objects of 400,000 keys, which are refused."""
    body = b"{" + b",".join(b'"key%d":1' % number for number in range(400_000)) + b"}"
    with _caller() as http:
        while True:
            _answered(http.post(f"{url}/v1/crop", content=body, headers=_JSON))


def hang_ups(url: str) -> None:
    """Send pictures, and close the connection before the answer."""
    body = json.dumps({"file": b64(sample("coffee", 600))}).encode()
    head = (
        f"POST /v1/background/remove HTTP/1.1\r\nHost: x\r\napi_token: {FLOOD_TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    while True:
        with _connection(url) as connection:
            connection.sendall(head.encode() + body)


def pipelined_polls(url: str) -> None:
    """Send fifty requests at once on a connection, read the answers, and go on."""
    path = f"/v2/status/{uuid.uuid4().hex}"
    requests = f"GET {path} HTTP/1.1\r\nHost: x\r\napi_token: {FLOOD_TOKEN}\r\n\r\n".encode() * 50
    with _connection(url) as connection:
        while True:
            connection.sendall(requests)
            answers = b""
            while answers.count(b"HTTP/1.1 ") < 50:
                received = connection.recv(1 << 16)
                if not received:
                    raise ConnectionError("the server has closed the connection")
                answers += received


def wrong_tokens(url: str) -> None:
    """Send pictures with tokens that nobody has, or with none."""
    body = {"file": "A" * 100_000}
    with httpx.Client(timeout=600) as http:
        while True:
            _answered(http.post(f"{url}/v1/crop", json=body, headers={"api_token": ""}))


def downloads(url: str) -> None:
    """Read a large result again and again."""
    with _caller() as http:
        link = _post(http, f"{url}/v1/crop", {"file": b64(sample("coffee", 2000))}).get(
            "result_url"
        )
        while isinstance(link, str):
            _answered(http.get(link))


def _form() -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="part%d"\r\n\r\na\r\n'
    return b"".join(part % number for number in range(20_000)) + b"--x--\r\n"


def _connection(url: str) -> socket.socket:
    host, _, port = url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)))


def _answered(answer: httpx.Response) -> None:
    """Wait a moment after 429, not as long as the answer asks."""
    if answer.status_code == 429:
        time.sleep(0.2)


def _post(http: httpx.Client, url: str, body: Mapping[str, object]) -> dict[str, object]:
    """Post a body and return the answer; after a refusal wait a moment, not as long as the answer asks."""
    answer = http.post(url, json=body)
    _answered(answer)
    found: dict[str, object] = answer.json()
    return found


def large_picture() -> bytes:
    """Return a picture of 12 megapixels in a file of few bytes, as lossless WebP."""
    if not _LARGE:
        image = Image.new("RGB", (4000, 3000), (200, 120, 40))
        ImageDraw.Draw(image).ellipse((1000, 750, 3000, 2250), fill=(20, 60, 200))
        file = io.BytesIO()
        image.save(file, "WEBP", lossless=True)
        _LARGE.append(file.getvalue())
    return _LARGE[0]


_LARGE: list[bytes] = []

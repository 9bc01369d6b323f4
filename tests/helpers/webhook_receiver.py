"""A receiver of webhooks on 127.0.0.1 that answers as its paths say."""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PATIENCE_S = 60


@dataclass(frozen=True)
class Received:
    """One POST that has arrived."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def answer(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    def is_signed_with(self, token: str) -> bool:
        """Whether its signature is right; written from the published scheme alone."""
        key = hmac.new(token.encode(), b"bria-webhook-signing-v1", hashlib.sha256).digest()
        name, moment = self.headers["Bria-Webhook-Id"], self.headers["Bria-Webhook-Timestamp"]
        signed = name.encode() + b"." + moment.encode() + b"." + self.body
        right = "v1=" + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return right in self.headers["Bria-Webhook-Signature"].split(",")


class Receiver:
    """Answers POST: /ok 200, /status?code=CODE, /redirect?code=CODE&to=URL, /hang nothing, /close nothing,
    /drip a status line byte by byte, /slow-body 200 and an endless body, /fail-first?times=N N times 500
    for each Bria-Webhook-Id."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.before_answer: Callable[[Received], None] = lambda _: None
        self.stopped = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                one = Received(self.path, dict(self.headers), body, time.time())
                receiver.received.append(one)
                receiver.before_answer(one)
                with contextlib.suppress(ConnectionError):
                    receiver.answer(self, one)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, path: str = "/ok", host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self._server.server_port}{path}"

    def ids(self) -> list[str]:
        """Return the Bria-Webhook-Id of each POST."""
        return [one.headers["Bria-Webhook-Id"] for one in list(self.received)]

    def wait_for(self, path: str) -> Received:
        """Return the first POST to a path, as soon as it has arrived."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for one in list(self.received):
                if one.path == path:
                    return one
            time.sleep(0.02)
        raise AssertionError(f"nothing has arrived at {path}")

    def answer(self, handler: BaseHTTPRequestHandler, one: Received) -> None:
        """Answer one POST."""
        parts = urlsplit(one.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/hang":
            self.stopped.wait(60)
        elif parts.path == "/close":
            handler.close_connection = True
        elif parts.path == "/drip":
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: 1\r\n" * 50:
                handler.wfile.write(bytes([byte]))
                if self.stopped.wait(0.1):
                    break
        elif parts.path == "/slow-body":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not self.stopped.wait(0.1):
                handler.wfile.write(b"1\r\nx\r\n")
        elif parts.path == "/fail-first":
            failed = self.ids().count(one.headers["Bria-Webhook-Id"]) <= int(query["times"])
            _respond(handler, 500 if failed else 200)
        elif parts.path == "/redirect":
            _respond(handler, int(query["code"]), Location=query["to"])
        else:
            _respond(handler, int(query.get("code", "200")))

    def close(self) -> None:
        """Stop; connections that hang end."""
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver for a test."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def _respond(handler: BaseHTTPRequestHandler, code: int, **headers: str) -> None:
    handler.send_response(code)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", "2")
    handler.end_headers()
    handler.wfile.write(b"ok")

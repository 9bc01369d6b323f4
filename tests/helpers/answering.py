"""A server on 127.0.0.1 that answers each path as a test says, and keeps what was sent to it."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass(frozen=True)
class Said:
    """One answer. body: bytes, or what becomes JSON."""

    status: int = 200
    body: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Answering:
    """answers: by path, the answers in order; the last one is repeated. others: the answer on other paths."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Said]] = {}
        self.others = Said(404, {"error": {"code": 404, "message": "m", "details": "d"}})
        self.sent: list[tuple[str, str, Mapping[str, str]]] = []
        self.base = ""

    def next(self, path: str) -> Said:
        """Return the answer to the next request for a path."""
        left = self.answers.get(path, [self.others])
        return left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def answering() -> Iterator[Answering]:
    """Run such a server."""
    fake = Answering()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = self.path.partition("?")[0]
            fake.sent.append((self.command, path, dict(self.headers)))
            said = fake.next(path)
            content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            headers = {"Content-Type": "application/json", **said.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        fake.base = f"http://127.0.0.1:{server.server_port}"
        yield fake
        server.shutdown()
        thread.join()

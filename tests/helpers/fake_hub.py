"""A fake hub on loopback: the parts of it that the hub's own client uses, for one repository."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

FIRST, SECOND = "1" * 40, "2" * 40
BODY = bytes(range(256)) * 64


@dataclass
class FakeHub:
    """The parts of a hub that `model_info` and `snapshot_download` use: commits of the repository org/net.

    held: while it is set, files whose name ends in `.safetensors` stop after half their bytes. silent: while
    it is set, nothing is answered. let_go: ends both; `serving` sets it at its end.
    """

    commits: dict[str, dict[str, bytes]]
    main: str = FIRST
    gated: bool = False
    held: bool = False
    silent: bool = False
    let_go: threading.Event = field(default_factory=threading.Event)
    lied: dict[str, str] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    url: str = ""

    def info(self, commit: str) -> dict[str, Any]:
        siblings = []
        for name, body in self.commits[commit].items():
            sha256 = self.lied.get(name) or hashlib.sha256(body).hexdigest()
            row: dict[str, Any] = {"rfilename": name, "size": len(body), "blobId": "b" * 40}
            if name.endswith(".safetensors"):
                row["lfs"] = {"size": len(body), "sha256": sha256, "pointerSize": 130}
            siblings.append(row)
        return {"_id": "x", "id": "org/net", "sha": commit, "siblings": siblings, "tags": []}

    def tree(self, commit: str) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": name, "size": len(body), "oid": "b" * 40}
            for name, body in self.commits[commit].items()
        ]

    def answer(self, address: str) -> tuple[int, bytes, dict[str, str]]:
        """Return status, body and headers of the answer to a request for an address."""
        parts = address.strip("/").split("/")
        if parts[:4] == ["api", "models", "org", "net"]:
            commit = self._commit(parts[5] if len(parts) > 5 else "main")
            if commit is None:
                return 404, b"", {"X-Error-Code": "RevisionNotFound"}
            what = self.tree(commit) if parts[4:5] == ["tree"] else self.info(commit)
            return 200, json.dumps(what).encode(), {"Content-Type": "application/json"}
        if parts[:3] == ["org", "net", "resolve"] and (commit := self._commit(parts[3])):
            body = self.commits[commit].get("/".join(parts[4:]))
            if body is not None:
                digest = hashlib.sha256(body).hexdigest()
                return 200, body, {"ETag": f'"{digest}"', "X-Repo-Commit": commit}
        return 404, b"", {"X-Error-Code": "EntryNotFound"}

    def _commit(self, revision: str) -> str | None:
        commit = self.main if revision == "main" else revision
        return commit if commit in self.commits else None


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            token = self.headers.get("Authorization")
            hub.requests.append((self.command, path, token))
            if hub.silent:
                hub.let_go.wait()
                return
            status, body, headers = hub.answer(path)
            if hub.gated and token != "Bearer hf_mine":
                status, body = 401, b""
                headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self._write(body, is_held=hub.held and path.endswith(".safetensors"))

        do_HEAD = do_GET  # noqa: N815

        def _write(self, body: bytes, *, is_held: bool) -> None:
            half = len(body) // 2 if is_held else 0
            try:
                self.wfile.write(body[:half])
                if is_held:
                    self.wfile.flush()
                    hub.let_go.wait()
                self.wfile.write(body[half:])
            except ConnectionError:  # the client has ended
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve a hub, and set its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        hub.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()

"""Repositories fetched with the hub's own client from a fake hub on loopback."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from models.catalog.registry import CARDS
from models.catalog.source import HubFolder
from models.roles import MATTING
from models.weights.cache import MANIFEST, WeightsCache

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "1" * 40, "2" * 40
BODY = bytes(range(256)) * 64


@dataclass
class FakeHub:
    """The parts of a hub that `model_info` and `snapshot_download` use: commits of one repository."""

    commits: dict[str, dict[str, bytes]]
    main: str = FIRST
    gated: bool = False
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


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    files = {
        "config.json": b"{}",
        "unet/w.safetensors": BODY,
        "README.md": b"read me",
        "w.bin": b"a pickle",
    }
    made = FakeHub({FIRST: files, SECOND: {"config.json": b'{"v": 2}', "new.safetensors": BODY}})

    class Handler(BaseHTTPRequestHandler):
        def _commit(self, revision: str) -> str | None:
            commit = made.main if revision == "main" else revision
            return commit if commit in made.commits else None

        def _answer(self) -> tuple[int, bytes, dict[str, str]]:
            path = unquote(urlsplit(self.path).path)
            token = self.headers.get("Authorization")
            made.requests.append((self.command, path, token))
            if made.gated and token != "Bearer hf_mine":
                return 401, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"}
            parts = path.strip("/").split("/")
            if parts[:4] == ["api", "models", "org", "net"]:
                commit = self._commit(parts[5] if len(parts) > 5 else "main")
                if commit is None:
                    return 404, b"", {"X-Error-Code": "RevisionNotFound"}
                what = made.tree(commit) if parts[4:5] == ["tree"] else made.info(commit)
                return 200, json.dumps(what).encode(), {"Content-Type": "application/json"}
            if parts[:3] == ["org", "net", "resolve"] and (commit := self._commit(parts[3])):
                body = made.commits[commit].get("/".join(parts[4:]))
                if body is not None:
                    digest = hashlib.sha256(body).hexdigest()
                    return 200, body, {"ETag": f'"{digest}"', "X-Repo-Commit": commit}
            return 404, b"", {"X-Error-Code": "EntryNotFound"}

        def do_GET(self) -> None:
            status, body, headers = self._answer()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


Fetch = Callable[..., str]


@pytest.fixture
def fetch(hub: FakeHub, tmp_path: Path) -> Fetch:
    """A function that fetches a folder into `tmp_path` in a separate process; returns the error or "".

    A separate process, because the client reads its settings only once.
    """
    code = """
import sys
from dataclasses import replace
from pathlib import Path
from models.catalog.registry import CARDS
from models.weights.cache import WeightsCache
from models.catalog.source import HubFolder
from models.weights.download import fetch_profile
revision, gated, folder, remote, *patterns = sys.argv[1:]
part = HubFolder("org/net", revision or None, tuple(patterns), 1, gated=gated == "gated")
card = replace(CARDS[0], name="net", files=(), folders=(part,), remote_code=remote == "code")
failures = fetch_profile({card.role: card}, WeightsCache(Path(folder)), thorough=True)
print("".join(failures.values()))
"""

    def call(
        revision: str = "",
        patterns: tuple[str, ...] = ("*.json", "*.safetensors"),
        gated: bool = False,
        token: str = "",
        remote: bool = False,
    ) -> str:
        environment = {
            name: value for name, value in os.environ.items() if "PROXY" not in name.upper()
        }
        environment |= {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": token,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        arguments = [
            revision,
            "gated" if gated else "",
            str(tmp_path),
            "code" if remote else "",
            *patterns,
        ]
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return call


def part(revision: str | None = None) -> HubFolder:
    return HubFolder("org/net", revision, ("*.json", "*.safetensors"), 1)


def files_in(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


def test_only_the_files_of_a_card_are_fetched(hub: FakeHub, fetch: Fetch, tmp_path: Path) -> None:
    assert fetch(FIRST) == ""
    folder = tmp_path / "org--net"
    assert files_in(folder) == {"config.json", "unet/w.safetensors", MANIFEST}
    assert (folder / "unet" / "w.safetensors").read_bytes() == BODY
    assert WeightsCache(tmp_path).problem(part(FIRST), thorough=True) is None
    assert WeightsCache(tmp_path).pins() == {}


def test_an_open_revision_is_pinned_at_the_first_fetch(
    hub: FakeHub, fetch: Fetch, tmp_path: Path
) -> None:
    assert fetch() == ""
    assert WeightsCache(tmp_path).pins() == {"org/net": FIRST}
    hub.main = SECOND
    (tmp_path / "org--net" / "config.json").unlink()
    assert fetch() == ""
    assert WeightsCache(tmp_path).pins() == {"org/net": FIRST}
    assert (tmp_path / "org--net" / "config.json").read_bytes() == b"{}"


def test_existing_files_need_no_network(hub: FakeHub, fetch: Fetch, tmp_path: Path) -> None:
    assert fetch() == ""
    hub.requests.clear()
    assert fetch() == ""
    assert hub.requests == []


def test_another_revision_replaces_the_files(hub: FakeHub, fetch: Fetch, tmp_path: Path) -> None:
    assert fetch(FIRST) == ""
    assert "commit" in str(WeightsCache(tmp_path).problem(part(SECOND)))
    assert fetch(SECOND) == ""
    assert files_in(tmp_path / "org--net") == {"config.json", "new.safetensors", MANIFEST}
    assert WeightsCache(tmp_path).problem(part(SECOND), thorough=True) is None


def test_a_truncated_file_is_found_before_loading_and_fetched_again(
    hub: FakeHub, fetch: Fetch, tmp_path: Path
) -> None:
    assert fetch(FIRST) == ""
    damaged = tmp_path / "org--net" / "unet" / "w.safetensors"
    damaged.write_bytes(BODY[:-1])
    assert "unet/w.safetensors: 16383 bytes instead of 16384" in str(
        WeightsCache(tmp_path).problem(part(FIRST))
    )
    assert fetch(FIRST) == ""
    assert damaged.read_bytes() == BODY


def test_a_changed_file_of_the_right_size_is_found_by_verify_and_fetched_again(
    hub: FakeHub, fetch: Fetch, tmp_path: Path
) -> None:
    assert fetch(FIRST) == ""
    (tmp_path / "org--net" / "unet" / "w.safetensors").write_bytes(bytes(len(BODY)))
    card = replace(CARDS[0], files=(), folders=(part(FIRST),))
    assert "SHA-256" in str(WeightsCache(tmp_path).verify({MATTING: card})["org--net"])
    assert fetch(FIRST) == ""
    assert WeightsCache(tmp_path).verify({MATTING: card}) == {"org--net": None}


def test_a_file_that_differs_from_the_hubs_list_is_refused(
    hub: FakeHub, fetch: Fetch, tmp_path: Path
) -> None:
    hub.lied["unet/w.safetensors"] = "0" * 64
    assert "unet/w.safetensors: SHA-256" in fetch(FIRST)
    assert WeightsCache(tmp_path).problem(part(FIRST)) == "not fetched to the end"


def test_the_error_of_a_gated_repository_says_what_to_do_and_a_token_opens_it(
    hub: FakeHub, fetch: Fetch
) -> None:
    hub.gated = True
    refusal = fetch(FIRST, gated=True)
    assert "accept its licence at https://huggingface.co/org/net and set HF_TOKEN" in refusal
    assert fetch(FIRST, gated=True, token="hf_mine") == ""


def test_remote_code_needs_a_commit(hub: FakeHub, fetch: Fetch) -> None:
    assert "pinned commit" in fetch(remote=True)
    assert hub.requests == []
    assert fetch(FIRST, remote=True) == ""


@pytest.mark.parametrize(
    ("revision", "patterns", "reason"),
    [("3" * 40, ("*",), "could not be fetched"), (FIRST, ("*.onnx",), "has no file like")],
)
def test_missing_revisions_and_files_are_reported(
    hub: FakeHub, fetch: Fetch, revision: str, patterns: tuple[str, ...], reason: str
) -> None:
    text = fetch(revision, patterns)
    assert "org/net" in text
    assert reason in text

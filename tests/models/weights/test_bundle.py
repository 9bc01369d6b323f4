"""A profile in one file: bundled, unbundled elsewhere and verified; only weights are accepted."""

import hashlib
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog.card import Profile
from models.catalog.registry import CARDS
from models.catalog.source import HubFolder, LocalFolder, MadeFolder, WeightFile
from models.errors import BundleError
from models.roles import MATTING
from models.weights.bundle import bundle, unbundle
from models.weights.cache import Entry, Manifest, WeightsCache

COMMIT = "c" * 40


def stocked(folder: Path) -> tuple[WeightsCache, Profile]:
    """Return a weights folder as fetching leaves it, and its profile."""
    cache = WeightsCache(folder)
    net = folder / "org--net"
    (net / "unet").mkdir(parents=True)
    (net / ".cache").mkdir()
    (net / ".cache" / "note").write_text("of the hub's client")
    (net / "unet" / "w.safetensors").write_bytes(b"weights")
    entry = Entry(7, hashlib.sha256(b"weights").hexdigest())
    Manifest("org/net", COMMIT, ("*",), {"unet/w.safetensors": entry}).write(net)
    cache.pin("org/net", COMMIT)
    cache.pin("org/other", COMMIT)
    (folder / "net.bin").write_bytes(b"file")
    (folder / "tiny" / "lama").mkdir(parents=True)
    (folder / "tiny" / "lama" / "w.pt").write_bytes(b"tiny")
    (folder / "unwanted.bin").write_bytes(b"x")
    file = WeightFile("net.bin", hashlib.sha256(b"file").hexdigest(), 4, ())
    card = replace(
        CARDS[0],
        files=(file,),
        folders=(
            HubFolder("org/net", None, ("*",), 1),
            MadeFolder("models.tiny.lama"),
        ),
    )
    return cache, {MATTING: card}


def test_an_unpacked_bundle_verifies_and_has_its_pins(tmp_path: Path) -> None:
    cache, profile = stocked(tmp_path / "here")
    bundle(profile, cache, tmp_path / "p.tar")
    unpacked = WeightsCache(tmp_path / "unpacked")
    unpacked.pin("org/more", "d" * 40)
    unbundle(tmp_path / "p.tar", unpacked)
    assert unpacked.verify(profile) == {"net.bin": None, "org--net": None, "tiny/lama": None}
    assert unpacked.pins() == {"org/net": COMMIT, "org/more": "d" * 40}
    names = {path.name for path in unpacked.folder.rglob("*")}
    assert not names & {"unwanted.bin", "note"}
    assert not any(path.name.startswith(".unpacking") for path in unpacked.folder.iterdir())


def test_checksum_of_a_first_download_travels_in_the_bundle(tmp_path: Path) -> None:
    cache, profile = stocked(tmp_path / "here")
    file = replace(profile[MATTING].files[0], sha256=None)
    profile = {MATTING: replace(profile[MATTING], files=(file,))}
    cache.pin("net.bin", hashlib.sha256(b"file").hexdigest())
    bundle(profile, cache, tmp_path / "p.tar")
    unpacked = WeightsCache(tmp_path / "unpacked")
    unbundle(tmp_path / "p.tar", unpacked)
    assert unpacked.verify(profile)["net.bin"] is None
    (cache.folder / "net.bin").write_bytes(b"fill")
    bundle(profile, cache, tmp_path / "damaged.tar")
    with pytest.raises(BundleError, match=r"net\.bin: SHA-256"):
        unbundle(tmp_path / "damaged.tar", WeightsCache(tmp_path / "other"))


def test_unpacking_again_replaces_the_files(tmp_path: Path) -> None:
    cache, profile = stocked(tmp_path / "here")
    bundle(profile, cache, tmp_path / "p.tar")
    (cache.folder / "org--net" / "unet" / "w.safetensors").write_bytes(b"damaged")
    assert cache.verify(profile)["org--net"]
    unbundle(tmp_path / "p.tar", cache)
    assert not any(cache.verify(profile).values())


def test_a_bundle_with_a_damaged_repository_is_refused_and_changes_nothing(
    tmp_path: Path,
) -> None:
    cache, profile = stocked(tmp_path / "here")
    (cache.folder / "org--net" / "unet" / "w.safetensors").write_bytes(b"altered")
    bundle(profile, cache, tmp_path / "p.tar")
    unpacked = tmp_path / "unpacked"
    with pytest.raises(BundleError, match=r"unet/w\.safetensors: SHA-256"):
        unbundle(tmp_path / "p.tar", WeightsCache(unpacked))
    assert list(unpacked.iterdir()) == []


def outside(tar: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("../escaped")
    tar.addfile(info, io.BytesIO())


def link(tar: tarfile.TarFile) -> None:
    info = tarfile.TarInfo("weights/link")
    info.type, info.linkname = tarfile.SYMTYPE, "/etc"
    tar.addfile(info)


@pytest.mark.parametrize("write", [outside, link, lambda tar: None])
def test_an_invalid_bundle_is_refused(
    tmp_path: Path, write: Callable[[tarfile.TarFile], None]
) -> None:
    with tarfile.open(tmp_path / "p.tar", "w") as tar:
        write(tar)
    with pytest.raises(BundleError):
        unbundle(tmp_path / "p.tar", WeightsCache(tmp_path / "unpacked"))
    assert not (tmp_path / "escaped").exists()
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_profile_with_local_paths_is_not_packed(tmp_path: Path) -> None:
    cache, profile = stocked(tmp_path / "here")
    own = replace(profile[MATTING], folders=(LocalFolder(tmp_path),))
    with pytest.raises(BundleError, match="your own path"):
        bundle({MATTING: own}, cache, tmp_path / "p.tar")
    assert not (tmp_path / "p.tar").exists()


def test_the_pin_of_a_selection_of_a_repository_travels(tmp_path: Path) -> None:
    cache, profile = stocked(tmp_path / "here")
    part = HubFolder("org/net", None, ("*",), 1, selection="onnx")
    (cache.folder / "org--net").rename(cache.folder / part.name)
    profile = {MATTING: replace(profile[MATTING], files=(), folders=(part,))}
    bundle(profile, cache, tmp_path / "p.tar")
    unpacked = WeightsCache(tmp_path / "unpacked")
    unbundle(tmp_path / "p.tar", unpacked)
    assert unpacked.pins() == {"org/net": COMMIT}
    assert unpacked.verify(profile) == {part.name: None}


@pytest.mark.parametrize(
    "rows",
    [
        b"===",
        b"\xff\xfe",
        b'"net.bin" = \'x"y\'',
        b'"net.bin" = "main"',
        b'["net.bin"]\ny = 1',
        b'"absent.bin" = "' + b"0" * 64 + b'"',
        b'"a\\nb" = "' + b"0" * 64 + b'"',
    ],
)
def test_pins_that_are_none_are_refused(tmp_path: Path, rows: bytes) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        for name, content in (("weights/net.bin", b"file"), ("weights/pins.toml", rows)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    cache = WeightsCache(tmp_path / "cache")
    with pytest.raises(BundleError, match=r"pins\.toml"):
        unbundle(tmp_path / "b.tar", cache)
    assert cache.pins() == {}
    assert not (cache.folder / "net.bin").exists()

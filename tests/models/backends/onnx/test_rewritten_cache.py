"""The cache of rewritten networks beside the weights: used if it matches the weights, else made again."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from imaging.picture import Picture
from models.backends.onnx.layout import rewritten
from models.backends.onnx.rewritten_cache import rewritten_network
from models.backends.onnx.u2net import U2Net
from models.runtime.pool import Pool

NAMES = {"u2netp.onnx", "u2netp.rewritten.onnx", "u2netp.rewritten.json"}


@pytest.fixture
def weights(weights_dir: Path, lite: Pool, tmp_path: Path) -> Path:
    """A copy of the weights in a separate folder."""
    file = tmp_path / "u2netp.onnx"
    file.write_bytes((weights_dir / file.name).read_bytes())
    return file


@pytest.fixture(scope="module")
def network(weights_dir: Path, lite: Pool) -> bytes:
    """The rewritten network, made without a cached file."""
    return rewritten(weights_dir / "u2netp.onnx")


def cached(weights: Path) -> Path:
    return weights.with_name("u2netp.rewritten.onnx")


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_the_cached_file_is_the_network_and_is_used_again(weights: Path, network: bytes) -> None:
    assert rewritten_network(weights) == network
    assert cached(weights).read_bytes() == network
    before = times(weights.parent)
    assert set(before) == NAMES
    assert rewritten_network(weights) == network
    assert times(weights.parent) == before


def test_the_matte_from_the_cached_file_is_identical(
    weights: Path, photo: Callable[[str], Picture]
) -> None:
    rgb = photo("astronaut").rgb
    made = U2Net(weights).matte(rgb)
    assert cached(weights).exists()
    assert np.array_equal(U2Net(weights).matte(rgb), made)


def test_a_start_from_the_cached_file_does_not_import_onnx(weights: Path) -> None:
    rewritten_network(weights)
    code = (
        "import sys; from pathlib import Path; from models.backends.onnx.u2net import U2Net;"
        "U2Net(Path(sys.argv[1])); print('onnx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, weights], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def truncate(weights: Path) -> None:
    cached(weights).write_bytes(cached(weights).read_bytes()[:-1])


def alter(weights: Path) -> None:
    content = bytearray(cached(weights).read_bytes())
    content[len(content) // 2] ^= 1
    cached(weights).write_bytes(content)


def forget(weights: Path) -> None:
    cached(weights).with_suffix(".json").unlink()


def lose(weights: Path) -> None:
    cached(weights).unlink()


def garble(weights: Path) -> None:
    cached(weights).with_suffix(".json").write_bytes(b"\xff{")


def restamp(name: str) -> Callable[[Path], None]:
    def change(weights: Path) -> None:
        stamp = cached(weights).with_suffix(".json")
        rows = json.loads(stamp.read_text())
        assert rows[name]
        stamp.write_text(json.dumps(rows | {name: "other"}))

    return change


@pytest.mark.parametrize(
    "damage",
    [
        *(truncate, alter, forget, lose, garble),
        *map(restamp, ("weights", "code", "onnx", "onnxruntime", "sha256")),
    ],
)
def test_an_invalid_cached_file_is_made_again(
    weights: Path, network: bytes, damage: Callable[[Path], None]
) -> None:
    rewritten_network(weights)
    whole = {path.name: path.read_bytes() for path in weights.parent.iterdir()}
    damage(weights)
    assert rewritten_network(weights) == network
    assert {path.name: path.read_bytes() for path in weights.parent.iterdir()} == whole


def test_other_weights_with_the_same_name_get_their_own_network(
    weights: Path, network: bytes
) -> None:
    rewritten_network(weights)
    weights.write_bytes(network)  # the rewritten network as input: its cached file is another
    assert rewritten_network(weights) == rewritten(weights) != network


@pytest.mark.parametrize("name", ["u2netp.rewritten.onnx", "u2netp.rewritten.json"])
def test_without_a_writable_folder_the_network_is_made_without_a_cache(
    weights: Path, network: bytes, name: str
) -> None:
    (weights.parent / name / "in the way").mkdir(parents=True)  # also stops root
    assert rewritten_network(weights) == network
    assert rewritten_network(weights) == network
    assert not list(weights.parent.glob("*.part")) + list(weights.parent.glob(".*.part"))


def test_a_file_written_by_several_processes_at_once_is_complete(
    weights: Path, network: bytes
) -> None:
    with ThreadPoolExecutor(4) as callers:
        assert set(callers.map(lambda _: rewritten_network(weights), range(4))) == {network}
    before = times(weights.parent)
    assert set(before) == NAMES
    assert rewritten_network(weights) == network
    assert times(weights.parent) == before

"""CUDA graphs on a real GPU: replays return what eager calls return, before and after everything that drops them.

On a machine with a GPU: `./scripts/test -m gpu tests/gpu/test_graphs.py`. Needs no weights.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from imaging.picture import Rgb  # noqa: E402
from models.backends.torch import devices  # noqa: E402
from models.backends.torch.graphs import Graphs, graphs_for  # noqa: E402
from models.backends.torch.moving import to_device, to_main_memory  # noqa: E402
from models.catalog.card import by_name  # noqa: E402
from models.catalog.registry import CARDS  # noqa: E402
from models.device import DeviceConfig  # noqa: E402
from models.weights.cache import WeightsCache  # noqa: E402
from models.weights.download import fetch_card  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.filterwarnings("default"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"),
]
DEVICE = "cuda:0"
EAGER, GRAPHED = DeviceConfig(DEVICE), DeviceConfig(DEVICE, graphs=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(autouse=True)
def _dropped() -> Iterator[None]:
    yield
    devices.drop_graphs()
    devices.release_cached()


def load(name: str, folder: Path, config: DeviceConfig) -> Any:
    card = by_name(CARDS)[name]
    return card.load(fetch_card(card, WeightsCache(folder)), config)


def shared_graphs() -> Graphs:
    found = graphs_for(GRAPHED)
    assert found is not None
    return found


def fill(model: Any, negative: str, seed: int) -> Rgb:
    rgb = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    hole = np.zeros((64, 64), np.bool_)
    hole[16:48, 16:48] = True
    made: Rgb = model.fill_by_prompt(rgb, hole, "a beach", negative, [seed])[0]
    return made


def test_replays_of_several_shapes_return_what_eager_calls_return() -> None:
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(4, 32, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(32, 4, 3, padding=1)
    )
    network = network.to(DEVICE, torch.float16).eval()
    collection = Graphs(DEVICE)
    given = [
        torch.randn(1, 4, side, side, device=DEVICE, dtype=torch.float16)
        for side in (32, 48, 64, 32, 48, 64)
    ]
    with torch.no_grad():
        expected = [network(one) for one in given]
        with collection.replaying(network):
            found = [network(one) for one in given]
    assert collection.count == 3
    assert collection.failure is None
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["tiny-fill", "tiny-bria-fill"])
def test_pictures_are_those_without_graphs_also_after_a_move(name: str, folder: Path) -> None:
    calls = [("", 3), ("bad", 4), ("", 5)]
    plain = load(name, folder, EAGER)
    expected = [fill(plain, *call) for call in calls]
    graphed = load(name, folder, GRAPHED)
    for _ in range(2):
        for call, right in zip(calls, expected, strict=True):
            assert np.abs(fill(graphed, *call).astype(int) - right).max() <= 1
        assert shared_graphs().count > 0
        assert shared_graphs().failure is None
        to_main_memory(graphed.networks(), [], pin=True)
        assert shared_graphs().count == 0
        devices.release_cached()
        to_device(graphed.networks(), [], DEVICE)


@pytest.mark.parametrize("name", ["tiny-refiner", "tiny-klein-refiner", "tiny-qwen-refiner"])
def test_texts_are_those_of_a_growing_cache(name: str, folder: Path) -> None:
    plain, graphed = load(name, folder, EAGER), load(name, folder, GRAPHED)
    for prompt in ("a beach", "snow at night", "a beach"):
        assert graphed.refine(prompt) == plain.refine(prompt)
    assert shared_graphs().count == 1
    assert shared_graphs().failure is None


def test_what_another_thread_does_meanwhile_does_not_end_a_capture(folder: Path) -> None:
    model = load("tiny-fill", folder, GRAPHED)
    ended = threading.Event()

    def allocate() -> None:
        while not ended.wait(0.001):
            torch.empty(2**20, device=DEVICE).fill_(1).sum().item()

    other = threading.Thread(target=allocate)
    other.start()
    try:
        fill(model, "", 3)
    finally:
        ended.set()
        other.join()
    assert shared_graphs().failure is None
    assert shared_graphs().count == 1


def test_the_memory_of_dropped_graphs_comes_back() -> None:
    network = torch.nn.Conv2d(64, 64, 3, padding=1).to(DEVICE).eval()
    collection = Graphs(DEVICE)
    given = torch.randn(1, 64, 512, 512, device=DEVICE)
    devices.release_cached()
    before = torch.cuda.memory_reserved()
    for _ in range(3):
        with torch.no_grad(), collection.replaying(network):
            network(given)
        assert torch.cuda.memory_reserved() > before
        collection.drop_all()
        devices.release_cached()
    # Beside the graphs: what torch keeps for matrix products on the stream of the capture.
    assert torch.cuda.memory_reserved() - before < 128 * 2**20

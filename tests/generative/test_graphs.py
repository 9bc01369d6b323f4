"""CUDA graphs with the capture replaced: results are those of eager calls, no graph outlives its weights."""

import gc
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from models.backends.diffusion import diffusion
from models.backends.torch import devices, graphs
from models.backends.torch.graphs import Graphs, graphs_for
from models.backends.torch.moving import to_device, to_main_memory
from models.device import DeviceConfig
from tests.helpers.replayed import Replayed


class Answer(NamedTuple):
    sum: Tensor
    all: list[Tensor]


class Network(nn.Module):
    """Takes and returns containers, as UNets and ControlNets do; `calls` counts its eager calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.calls = 0

    def forward(
        self, x: Tensor, scale: float = 1.0, more: dict[str, list[Tensor]] | None = None
    ) -> Answer:
        self.calls += 1
        parts = [self.linear(x) * scale, *(more or {}).get("parts", [])]
        while len(parts) > 2:
            parts.append(parts.pop() + parts.pop())
        return Answer(torch.stack(parts).sum(0), parts)


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network().eval()


def inputs(seed: int, rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))


def test_replays_return_what_eager_calls_return_for_every_input(network: Network) -> None:
    capture = Replayed()
    given = [
        (inputs(seed), 0.5, {"parts": [inputs(seed + 10), inputs(seed + 20)]}) for seed in range(4)
    ]
    expected = [network(*one) for one in given]
    with capture.graphs().replaying(network):
        found = [network(*one) for one in given]
    # Compared at the end: a later replay must not write into what an earlier one returned.
    for one, other in zip(found, expected, strict=True):
        assert type(one) is Answer
        assert torch.equal(one.sum, other.sum)
        assert all(map(torch.equal, one.all, other.all))
    assert (capture.captures, capture.replays) == (1, 4)


def test_inputs_stay_as_they_were(network: Network) -> None:
    given = {"parts": [inputs(1), inputs(2), inputs(3)]}
    with Replayed().graphs().replaying(network):
        network(inputs(0), more=given)
    assert all(map(torch.equal, given["parts"], [inputs(1), inputs(2), inputs(3)]))


@pytest.mark.parametrize(
    "other",
    [
        {"x": inputs(0, rows=5)},
        {"x": inputs(0).double()},
        {"x": inputs(0).t().contiguous().t()},
        {"scale": 2.0},
        {"scale": 1},
        {"more": {"parts": [inputs(1)]}},
        {"more": {"parts": [inputs(1), inputs(2)]}},
    ],
)
def test_calls_of_other_signatures_have_graphs_of_their_own(
    network: Network, other: dict[str, Any]
) -> None:
    capture = Replayed()
    plain = {"x": inputs(0), "scale": 1.0}
    changed = {**plain, **other}
    if changed["x"].dtype == torch.float64:
        network.double()
        plain["x"] = inputs(0).double()
        changed["x"] = inputs(0).float()
        network.linear = _AnyDtype()
    expected = [network(**one) for one in (plain, changed)]
    with capture.graphs().replaying(network):
        for _ in range(2):
            found = [network(**one) for one in (plain, changed)]
    assert capture.captures == 2
    for one, right in zip(found, expected, strict=True):
        assert torch.equal(one.sum, right.sum)
        assert one.sum.dtype == right.sum.dtype
        assert one.sum.stride() == right.sum.stride()


class _AnyDtype(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 3


def test_two_networks_have_graphs_of_their_own(network: Network) -> None:
    other = Network().eval()
    capture = Replayed()
    expected = [one(inputs(0)).sum for one in (network, other)]
    with capture.graphs().replaying(network, other):
        found = [one(inputs(0)).sum for one in (network, other)]
    assert capture.captures == 2
    assert all(map(torch.equal, found, expected))


def test_outside_the_context_and_with_gradients_calls_are_eager(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    with collection.replaying(network), torch.enable_grad():
        network(inputs(0))
    with pytest.raises(ValueError, match="stop"), collection.replaying(network):
        raise ValueError("stop")
    network(inputs(0))
    assert capture.captures == 0
    assert "forward" not in vars(network)


def test_graphs_of_inference_mode_are_not_used_outside(network: Network) -> None:
    capture = Replayed()
    with capture.graphs().replaying(network):
        with torch.inference_mode():
            assert network(inputs(0)).sum.is_inference()
        assert not network(inputs(0)).sum.is_inference()
    assert capture.captures == 2


def test_a_call_with_a_tensor_elsewhere_or_an_unknown_object_is_eager(network: Network) -> None:
    capture = Replayed()
    with capture.graphs().replaying(network):
        network(inputs(0), more={"parts": [], "odd": object()})  # type: ignore[dict-item]
        with pytest.raises(RuntimeError):
            network(inputs(0).to("meta"))
    assert capture.captures == 0


def test_the_least_recently_used_graph_goes_only_for_a_signature_that_comes_often(
    network: Network,
) -> None:
    capture = Replayed()
    collection = capture.graphs(most=2)
    with collection.replaying(network):
        for rows in (1, 2, 1):
            network(inputs(0, rows))
        for _ in range(graphs._WORTH - 1):
            network(inputs(0, 3))
        assert (capture.captures, collection.count) == (2, 2)
        network(inputs(0, 3))
        assert (capture.captures, collection.count) == (3, 2)
        network(inputs(0, 1))
        assert capture.captures == 3
        network(inputs(0, 2))
        assert capture.captures == 3  # it went, and has to come often again


def test_the_inputs_and_results_of_all_graphs_are_bounded(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three rows are 36 bytes, and there are three of them: the input, and the two tensors of the result.
    monkeypatch.setattr(graphs, "_MOST_BYTES", 200)
    collection = Replayed().graphs()
    with collection.replaying(network):
        for rows in (3, 4, 5):
            network(inputs(0, rows))
    assert collection.count == 2


def test_the_signatures_that_are_counted_are_bounded(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graphs, "_REMEMBERED", 5)
    collection = Replayed().graphs(most=1)
    with collection.replaying(network):
        for scale in range(50):
            network(inputs(0), float(scale))
    assert len(collection._eager) <= 5


def test_the_capture_is_told_when_no_graph_is_left(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    with collection.replaying(network):
        network(inputs(0, 1))
        network(inputs(0, 2))
        collection.drop_all()
        network(inputs(0, 1))
    assert capture.first == [True, False, True]


def test_weights_that_move_take_their_graphs_with_them_and_no_other(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    other, view = Network().eval(), diffusion.view(network)
    view.linear.bias = nn.Parameter(torch.ones(3), requires_grad=False)
    with collection.replaying(network, other, view):
        before = [one(inputs(0)).sum for one in (network, other, view)]
    assert collection.count == 3
    # The view's own tensor alone: the weights that it shares stay.
    to_main_memory([view], [network], pin=False)
    assert collection.count == 2
    to_main_memory([network], [], pin=False)
    assert collection.count == 1
    to_device([network, view], [], "cpu")
    with collection.replaying(network, other, view):
        after = [one(inputs(0)).sum for one in (network, other, view)]
    assert all(map(torch.equal, before, after))
    assert capture.captures == 5


def test_graphs_are_dropped_before_the_move(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Replayed().graphs()
    with collection.replaying(network):
        network(inputs(0))
    left: list[int] = []
    monkeypatch.setattr(
        "models.backends.torch.moving._copy", lambda *_: left.append(collection.count)
    )
    to_main_memory([network], [], pin=False)
    assert left == [0, 0]


@pytest.mark.parametrize("change", ["half", "adapter", "replaced"])
def test_changed_weights_are_seen_without_being_told(network: Network, change: str) -> None:
    capture = Replayed()
    collection = capture.graphs()
    with collection.replaying(network):
        network(inputs(0))
    if change == "half":
        network.bfloat16().float()
    elif change == "adapter":
        network.add_module("adapter", nn.Linear(3, 3))
    else:
        network.linear.weight.data = network.linear.weight * 2
    expected = network(inputs(1)).sum
    with collection.replaying(network):
        assert torch.equal(network(inputs(1)).sum, expected)
    assert (capture.captures, collection.count) == (2, 1)


def test_weights_changed_in_place_are_those_of_the_next_replay(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    with collection.replaying(network):
        network(inputs(0))
    network.linear.weight.mul_(2)
    expected = network(inputs(0)).sum
    with collection.replaying(network):
        assert torch.equal(network(inputs(0)).sum, expected)
    assert capture.captures == 1


def test_graphs_of_a_network_that_is_gone_are_dropped_when_memory_is_released() -> None:
    # The replay of a CUDA graph does not hold the network, unlike that of `Replayed`.
    collection = Graphs("cpu", lambda work, first: (lambda: None, work()))
    passing = Network().eval()
    with collection.replaying(passing):
        passing(inputs(0))
    del passing
    gc.collect()
    assert collection.count == 1
    devices.release_cached()
    assert collection.count == 0


def test_all_graphs_can_be_dropped(network: Network) -> None:
    collection, other = Replayed().graphs(), Replayed().graphs()
    for one in (collection, other):
        with one.replaying(network):
            network(inputs(0))
    devices.drop_graphs()
    assert (collection.count, other.count) == (0, 0)


def test_a_capture_that_fails_is_told_once_and_not_tried_again(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    capture = Replayed(fails=RuntimeError("operation not permitted when stream is capturing"))
    expected = [network(inputs(0, rows)).sum for rows in (1, 2)]
    network.calls = 0
    with caplog.at_level(logging.WARNING, "retouch.models"), capture.graphs().replaying(network):
        for _ in range(3):
            found = [network(inputs(0, rows)).sum for rows in (1, 2)]
    assert all(map(torch.equal, found, expected))
    assert len(capture.first) == 2
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [
        "Network: a call could not be captured as a CUDA graph: operation not permitted when stream is capturing"
    ]


def test_a_capture_without_memory_frees_that_of_the_other_graphs(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    with collection.replaying(network):
        network(inputs(0, 1))
        capture.fails = torch.OutOfMemoryError("out of memory")
        expected = network.linear(inputs(0, 2))
        assert torch.equal(network(inputs(0, 2)).all[0], expected)
    assert collection.count == 0


def test_an_error_of_the_call_itself_is_raised(network: Network) -> None:
    with Replayed().graphs().replaying(network), pytest.raises(RuntimeError, match="shape"):
        network(torch.ones(2, 7))


def test_threads_get_their_own_results(network: Network) -> None:
    capture = Replayed()
    collection = capture.graphs()
    expected = [network(inputs(seed)).sum for seed in range(40)]

    def run(seed: int) -> Tensor:
        with torch.no_grad(), collection.replaying(network):
            return network(inputs(seed)).sum  # type: ignore[no-any-return]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(run, range(40)))
    assert all(map(torch.equal, found, expected))
    assert (capture.captures, capture.replays) == (1, 40)
    assert "forward" not in vars(network)


@pytest.mark.parametrize(
    "config",
    [
        DeviceConfig("cuda:0"),
        DeviceConfig("cpu", graphs=True),
        DeviceConfig("mps", graphs=True),
        DeviceConfig("cuda:0", offload=True, graphs=True),
    ],
)
def test_there_are_no_graphs_unless_weights_stay_on_a_gpu_by_cuda(config: DeviceConfig) -> None:
    assert graphs_for(config) is None


def test_the_models_of_one_device_share_its_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "_ON", {})
    first = graphs_for(DeviceConfig("cuda:0", graphs=True))
    assert first is graphs_for(DeviceConfig("cuda:0", "float16", graphs=True))
    assert first is not graphs_for(DeviceConfig("cuda:1", graphs=True))
    assert isinstance(first, Graphs)
    assert first.count == 0

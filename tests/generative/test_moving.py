"""Weights that move to main memory and back: each once, the same objects, and results that do not change."""

import logging
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.backends.diffusion import diffusion
from models.backends.diffusion.sdxl_pipeline import Adapters
from models.backends.torch import moving
from models.backends.torch.moving import to_device, to_main_memory
from models.catalog.card import Card
from models.catalog.registry import CARDS
from models.catalog.source import MadeFolder
from models.device import DeviceConfig
from models.roles import GENERATIVE_FILL, PROMPT_REFINEMENT, SCENE_GENERATION
from models.runtime.device_policy import DevicePolicy
from models.runtime.pool import Pool
from models.runtime.slots import HasNetworks
from models.weights.cache import WeightsCache
from models.weights.download import fetch_card

TORCH_CARDS = [
    card for card in CARDS if card.torch and all(isinstance(p, MadeFolder) for p in card.parts)
]


def tensors(*networks: nn.Module) -> list[torch.Tensor]:
    return [one for net in networks for one in chain(net.parameters(), net.buffers())]


def addresses(*networks: nn.Module) -> set[int]:
    return {one.data_ptr() for one in tensors(*networks) if one.numel()}


def network() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    return net.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload,no-any-return]


def test_a_round_trip_keeps_objects_values_strides_and_ties() -> None:
    net = network()
    net.tied = net[2].weight
    before = [(one, one.clone(), one.stride()) for one in tensors(net)]
    old = addresses(net)
    to_main_memory([net, net], [], pin=False)
    there = addresses(net)
    assert not old & there
    assert all(now is was for now, (was, _, _) in zip(tensors(net), before, strict=True))
    to_device([net], [], "cpu")
    assert not there & addresses(net)
    for now, (was, values, strides) in zip(tensors(net), before, strict=True):
        assert now is was
        assert torch.equal(now, values)
        assert now.stride() == strides
    assert net.tied is net[2].weight


def test_tensors_of_networks_that_stay_do_not_move() -> None:
    net = network()
    view = diffusion.view(net)
    view.extra = nn.Parameter(torch.ones(5))
    shared, extra = addresses(net), view.extra.data_ptr()
    to_main_memory([view], [net], pin=False)
    assert addresses(net) == shared
    assert view.extra.data_ptr() != extra
    to_main_memory([net, view], [], pin=False)
    assert not addresses(net, view) & shared
    assert addresses(view) >= addresses(net)
    to_device([view], [], "cpu")
    assert addresses(view) >= addresses(net)


def test_small_tensors_lie_in_one_block_and_large_ones_in_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moving, "_BLOCK", 4096)
    net = nn.ParameterList([torch.arange(size, dtype=torch.float32) for size in (1, 70, 2000, 9)])
    values = [one.clone() for one in net.parameters()]
    to_main_memory([net], [], pin=False)
    sizes = [one.untyped_storage().nbytes() for one in net.parameters()]
    assert sizes == [256 + 280, 256 + 280, 8000, 36]
    assert all(map(torch.equal, net.parameters(), values))
    assert all(one.data_ptr() % 64 == 0 for one in net.parameters())


def test_memory_that_cannot_be_pinned_is_an_ordinary_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    empty: Any = torch.empty

    def refuse(*size: Any, pin_memory: bool = False, **how: Any) -> torch.Tensor:
        if pin_memory:
            raise RuntimeError("CUDA error: out of memory")
        return empty(*size, **how)

    monkeypatch.setattr(torch, "empty", refuse)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    net = network()
    values = [one.clone() for one in tensors(net)]
    with caplog.at_level(logging.WARNING, "retouch.models"):
        to_main_memory([net], [], pin=True)
    assert "could not be pinned" in caplog.text
    assert all(map(torch.equal, tensors(net), values))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.mark.parametrize("card", TORCH_CARDS, ids=lambda card: card.name)
def test_every_torch_card_tells_all_its_weights(card: Card, folder: Path) -> None:
    cache = WeightsCache(folder)
    model = card.load(fetch_card(card, cache), DeviceConfig())
    assert isinstance(model, HasNetworks)
    told = {id(one) for network in model.networks() for one in network.modules()}
    assert told
    # The UNet of BRIA's slow scenes, and the view of it with the adapter, wait in main memory anyway.
    assert held(model, told) == (["UNet2DConditionModel"] * 2 if "bria-scene" in card.name else [])


def held(model: Any, told: set[int]) -> list[str]:
    """Return the modules with weights that a model reaches and does not tell, but for those of other roles."""
    missed, seen, left = [], set[int](), [model]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, nn.Module):
            missed += [] if id(one) in told or not tensors(one) else [type(one).__name__]
        elif isinstance(one, dict):
            left += [value for key, value in one.items() if not isinstance(key, Adapters)]
        elif isinstance(one, list | tuple):
            left += one
        elif type(one).__module__.partition(".")[0] in ("models", "diffusers"):
            left += vars(one).values() if hasattr(one, "__dict__") else []
    return missed


def results(pool: Pool) -> list[Any]:
    """Return what the models of one base and the prompt refiner make, twice in turn."""
    rgb = np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)
    hole = np.zeros((64, 64), np.bool_)
    hole[16:48, 16:48] = True
    made: list[Any] = []
    for _ in range(2):
        with pool.use(PROMPT_REFINEMENT) as refiner:
            made.append(refiner.refine("a beach"))
        with pool.use(SCENE_GENERATION) as scene:
            alpha = hole.astype(np.float32)
            made += scene.scenes(rgb, alpha, "a beach", "", [3], fast=True, reference=rgb)
        with pool.use(GENERATIVE_FILL) as fill:
            made += fill.fill_by_prompt(rgb, hole, "a beach", "", [3])
    return made


def test_models_that_move_to_and_fro_make_the_same_results(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    roles = (PROMPT_REFINEMENT, SCENE_GENERATION, GENERATIVE_FILL)
    plain = Pool.for_profile("tiny", folder, device="cpu", roles=roles)
    for (
        role
    ) in roles:  # a processor rounds otherwise where weights begin at odd addresses, as in files
        with plain.use(role) as model:
            to_main_memory(model.networks(), [], pin=False)
    expected = results(plain)
    one_at_a_time = DevicePolicy("cpu", memory_mb=100, main_memory_mb=1000)
    moving_pool = Pool(plain.profile, folder, policy=one_at_a_time)
    with caplog.at_level(logging.INFO, "retouch.models"):
        found = results(moving_pool)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("is evicted to main memory" in line for line in lines) == 5
    assert not any("dropped" in line or "could not" in line for line in lines)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)

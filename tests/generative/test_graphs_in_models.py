"""Models that replay CUDA graphs, with the capture replaced: the same pictures and texts, and what is captured."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imaging.picture import Mask, Rgb
from models.backends.diffusion.latent_control import LatentControl
from models.backends.torch import graphs
from models.backends.torch.cuda_capture import Work
from models.backends.torch.fixed_cache import FixedCache
from models.backends.torch.graphs import Graphs
from models.backends.torch.refiner import Refiner
from models.catalog.card import by_name
from models.catalog.registry import CARDS
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import WorkCancelledError
from models.roles import GENERATIVE_FILL, OUTPAINTING, PROMPT_REFINEMENT
from models.runtime import first_calls
from models.runtime.device_policy import DevicePolicy
from models.runtime.pool import Pool
from models.weights.cache import WeightsCache
from models.weights.download import fetch_card
from tests.helpers.replayed import Replayed

CARD = by_name(CARDS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Replayed:
    """The capture of a GPU, replaced, for every model that is loaded meanwhile."""
    replaced = Replayed()
    shared = replaced.graphs()
    for module in ("diffusion.sdxl_pipeline", "diffusion.latent_control", "torch.refiner"):
        monkeypatch.setattr(
            f"models.backends.{module}.graphs_for", lambda config: shared if config.graphs else None
        )
    return replaced


def load(name: str, folder: Path, *, with_graphs: bool = True) -> Any:
    card = CARD[name]
    return card.load(fetch_card(card, WeightsCache(folder)), DeviceConfig(graphs=with_graphs))


def picture() -> Rgb:
    return np.random.default_rng(5).integers(0, 256, (64, 64, 3), np.uint8)


def middle() -> Mask:
    hole = np.zeros((64, 64), np.bool_)
    hole[16:48, 16:48] = True
    return hole


def fill(model: Any, negative: str, seeds: list[int], rgb: Rgb | None = None) -> list[Rgb]:
    rgb = picture() if rgb is None else rgb
    made: list[Rgb] = model.fill_by_prompt(rgb, middle(), "a beach", negative, seeds)
    return made


@pytest.mark.parametrize(("name", "networks"), [("tiny-fill", 1), ("tiny-bria-fill", 2)])
def test_fills_are_the_same_and_each_step_is_one_replay_of_each_network(
    name: str, networks: int, folder: Path, capture: Replayed
) -> None:
    calls = [("", [3]), ("bad", [4]), ("", [5]), ("bad", [6, 7, 8, 9])]
    plain, graphed = load(name, folder, with_graphs=False), load(name, folder)
    expected = [fill(plain, *call) for call in calls]
    assert capture.captures == 0
    found, replays = [], []
    for call in calls:
        found.append(fill(graphed, *call))
        replays.append(capture.replays)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)
    # BRIA's fills always have guidance; SDXL's fast ones only with a negative prompt.
    signatures = 1 if name == "tiny-bria-fill" else 2
    assert capture.captures == networks * signatures
    per_call = np.diff([0, *replays]).tolist()
    assert per_call[0] > 0
    assert per_call[0] % networks == 0
    assert per_call[0] == per_call[1] == per_call[2]
    assert per_call[3] == 0  # more pictures together than a graph is for


def test_scenes_with_a_reference_picture_have_graphs_of_their_own(
    folder: Path, capture: Replayed
) -> None:
    plain, graphed = (
        load("tiny-scene", folder, with_graphs=False),
        load("tiny-scene", folder),
    )
    alpha = middle().astype(np.float32)

    def scenes(model: Any) -> list[list[Rgb]]:
        given = (picture(), alpha, "a beach", "", [3])
        return [
            model.scenes(*given),
            model.scenes(*given, reference=picture()),
            model.scenes(*given, reference=255 - picture()),
            model.scenes(*given, reference=picture(), influence=0.5),
            model.scenes(*given),
        ]

    for one, other in zip(scenes(graphed), scenes(plain), strict=True):
        assert np.array_equal(one, other)
    # Without one, with one, and with one of less influence, which comes with a mask.
    assert capture.captures == 3


def test_slow_scenes_of_bria_are_eager_and_fast_ones_are_not(
    folder: Path, capture: Replayed
) -> None:
    plain, graphed = (
        load("tiny-bria-scene", folder, with_graphs=False),
        load("tiny-bria-scene", folder),
    )
    alpha = middle().astype(np.float32)
    for fast, captures in ((False, 0), (True, 2)):
        given = (picture(), alpha, "a beach", "", [3])
        assert np.array_equal(graphed.scenes(*given, fast=fast), plain.scenes(*given, fast=fast))
        assert capture.captures == captures


def test_a_slow_call_drops_the_graphs_of_the_network_that_makes_way(
    folder: Path, capture: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: LatentControl = load("tiny-bria-scene", folder)._model
    assert model.graphs is not None
    unet = model._base.pipe.unet
    view, control = model._guided[False].unet, model._pipes[False].controlnet
    with torch.no_grad():
        for module in (unet, view, control):
            _call_once(model.graphs, module)
    assert model.graphs.count == 3
    # A device that is not the processor, without its memory.
    monkeypatch.setattr(model, "_device_config", DeviceConfig("meta", graphs=True))
    for module in (unet, model._pipes[True].unet):
        monkeypatch.setattr(module, "to", lambda *_: None)
    with model._resident(slow=True):
        assert model.graphs.count == 1  # the ControlNet stays


def _call_once(shared: Graphs, module: torch.nn.Module) -> None:
    """Capture a call that reads the weights of a network."""
    shared.call(module, torch.neg, (torch.ones(1),), {})


def test_the_first_pictures_of_a_start_capture_every_shape(
    folder: Path, capture: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [(64, 64), (96, 64), (64, 96)]
    monkeypatch.setattr(first_calls, "first_sizes", lambda sizes_of_model, device: sizes)
    fill_model = load("tiny-fill", folder)
    outpaint = load("tiny-outpaint", folder)
    for role, model in ((GENERATIVE_FILL, fill_model), (OUTPAINTING, outpaint)):
        first_calls.make_first_calls(role, model, "a card", DeviceConfig(graphs=True))
    # Both have one base, and calls of one signature.
    assert capture.captures == 3
    for width, height in sizes:
        rgb = np.full((height, width, 3), 90, np.uint8)
        hole = np.zeros((height, width), np.bool_)
        hole[: height // 2] = True
        fill_model.fill_by_prompt(rgb, hole, "a wood", "", [9])
    assert capture.captures == 3


def test_a_cancelled_call_leaves_the_network_as_it_was(folder: Path, capture: Replayed) -> None:
    model = load("tiny-fill", folder)
    deadline = Deadline()
    shared = model._pipeline.graphs

    def cancel(work: Work, first: bool) -> Any:
        deadline.cancel()
        return capture(work, first)

    shared._capture = cancel
    with pytest.raises(WorkCancelledError), deadline_scope(deadline):
        fill(model, "", [3])
    assert (capture.captures, capture.replays) == (1, 1)
    assert "forward" not in vars(model._pipeline._plain.unet)
    assert len(fill(model, "", [3])) == 1


@pytest.mark.parametrize("name", ["tiny-refiner", "tiny-klein-refiner", "tiny-qwen-refiner"])
def test_a_fixed_cache_writes_the_same_texts_as_a_growing_one(
    name: str, folder: Path, capture: Replayed
) -> None:
    plain, graphed = load(name, folder, with_graphs=False), load(name, folder)
    prompts = [("a beach", ""), ("snow at night", "a dog"), ("a beach", "")]
    expected = [plain.refine(*prompt) for prompt in prompts]
    assert len(set(expected)) == 2
    assert [graphed.refine(*prompt) for prompt in prompts] == expected
    assert capture.captures == 1
    tokens = len(prompts) * (graphed._generation.max_new_tokens - 1)
    assert 0 < capture.replays <= tokens


def test_a_prompt_that_is_too_long_for_the_fixed_cache_uses_a_growing_one(
    folder: Path, capture: Replayed
) -> None:
    plain, graphed = (
        load("tiny-refiner", folder, with_graphs=False),
        load("tiny-refiner", folder),
    )
    long = "a very long beach " * 50  # a token for each letter
    assert graphed.refine(long) == plain.refine(long)
    assert capture.captures == 0


def test_an_answer_ends_at_its_end_token_with_a_fixed_cache(
    folder: Path, capture: Replayed
) -> None:
    plain, graphed = (
        load("tiny-refiner", folder, with_graphs=False),
        load("tiny-refiner", folder),
    )
    for model in (plain, graphed):
        model._generation.eos_token_id = list(range(100, 140))
    assert graphed.refine("a beach") == plain.refine("a beach")
    assert capture.replays < graphed._generation.max_new_tokens - 1


def test_the_steps_of_a_fixed_cache_are_never_compiled(folder: Path, capture: Replayed) -> None:
    model: Refiner = load("tiny-refiner", folder)
    network: Any = model._module._network
    asked: list[bool] = []
    network._valid_auto_compile_criteria = lambda given, config: asked.append(
        config.disable_compile
    )
    model.refine("a beach")
    assert asked == [True]


def test_the_cache_leaves_with_its_graph(folder: Path, capture: Replayed) -> None:
    model: Refiner = load("tiny-refiner", folder)
    decoder = model._generate.__self__  # type: ignore[attr-defined]
    assert isinstance(decoder, FixedCache)
    model.refine("a beach")
    assert decoder._cache() is not None
    graphs.drop_moving(model.networks()[0].parameters())
    assert decoder._cache() is None


def test_models_that_are_evicted_in_turn_make_the_same_results(
    folder: Path, capture: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    roles = (PROMPT_REFINEMENT, GENERATIVE_FILL)
    plain = Pool.for_profile("tiny", folder, device="cpu", roles=roles)
    policy = DevicePolicy("cpu", memory_mb=100, main_memory_mb=1000, torch=True, graphs=True)
    moving = Pool(plain.profile, folder, policy=policy)

    def results(pool: Pool) -> list[Any]:
        made: list[Any] = []
        for seed in (3, 4):
            with pool.use(PROMPT_REFINEMENT) as refiner:
                made.append(refiner.refine("a beach"))
            with pool.use(GENERATIVE_FILL) as model:
                made += fill(model, "", [seed])
        return made

    for one, other in zip(results(moving), results(plain), strict=True):
        assert np.array_equal(one, other)
    assert capture.captures == 4  # each anew after it came back
    with moving.use(GENERATIVE_FILL) as model:
        loaded: Any = model
        shared: Graphs = loaded._pipeline.graphs
        assert shared.count == 1
        retry = moving.retry(GENERATIVE_FILL)
        assert retry is not None
        retry.smaller(model)
        assert shared.count == 0

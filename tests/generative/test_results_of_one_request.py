"""Several results of one request: what is encoded once, and what a seed gives alone and among others."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from imaging.picture import Rgb
from models.backends.diffusion import diffusion
from models.backends.diffusion.fibo_edit import FiboEdit
from models.backends.diffusion.klein import KleinEdit
from models.backends.diffusion.klein_roles import KleinFill, KleinScene
from models.backends.diffusion.qwen_edit import QwenEdit
from models.backends.diffusion.qwen_roles import QwenFill, QwenScene
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import CallerDisconnectedError
from models.tiny import fibo_edit, klein, qwen_edit
from tests.helpers.one_at_a_time import one_at_a_time
from tests.helpers.recorder import recorded

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SEEDS = (5, 2**40)
SIZE = 64, 64


def noise(seed: int, height: int = 64, width: int = 64) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


RGB, OTHER = noise(0), noise(1, 40, 100)
HOLE = np.pad(np.ones((32, 32), np.bool_), 16)
ALPHA = HOLE.astype(np.float32)


@dataclass(frozen=True)
class Drawing:
    """A way to call a model: its class, the call, and how many texts and pictures the call has to encode.

    passes: of the transformer for each result.
    """

    kind: Any
    call: Callable[[Any, Sequence[int]], list[Rgb]]
    texts: int
    pictures: int
    passes: int


def _edit(*pictures: Rgb, negative: str = "", **options: Any) -> Callable[..., list[Rgb]]:
    return lambda model, seeds: model.edit(
        pictures, "make it red", negative, seeds, SIZE, **options
    )


def _fill(model: Any, seeds: Sequence[int]) -> list[Rgb]:
    made: list[Rgb] = model.fill_by_prompt(RGB, HOLE, "a red kite", "people", seeds)
    return made


def _scene(model: Any, seeds: Sequence[int]) -> list[Rgb]:
    made: list[Rgb] = model.scenes(RGB, ALPHA, "a beach", "", seeds, reference=OTHER)
    return made


DRAWINGS = {
    "klein, words alone": Drawing(KleinEdit, _edit(), 1, 0, 4),
    "klein, two pictures": Drawing(KleinEdit, _edit(RGB, OTHER, negative="ugly"), 2, 2, 8),
    "klein, a hole": Drawing(KleinEdit, _edit(RGB, OTHER, hole=HOLE), 1, 2, 4),
    "klein, a fill": Drawing(KleinFill, _fill, 2, 1, 8),
    "klein, a scene": Drawing(KleinScene, _scene, 1, 2, 4),
    "qwen, words alone": Drawing(QwenEdit, _edit(), 2, 0, 8),
    "qwen, two pictures": Drawing(QwenEdit, _edit(RGB, OTHER, negative="ugly"), 2, 2, 8),
    # The picture with the hole is read at its own size, and shown at the size of references.
    "qwen, a hole": Drawing(QwenEdit, _edit(RGB, OTHER, hole=HOLE), 2, 3, 8),
    "qwen, a fill": Drawing(QwenFill, _fill, 2, 2, 8),
    "qwen, a scene": Drawing(QwenScene, _scene, 2, 3, 8),
    "fibo, words alone": Drawing(FiboEdit, _edit(), 1, 0, 4),
    # With guidance, its own pipeline makes both passes of a picture in one call.
    "fibo, two pictures": Drawing(FiboEdit, _edit(RGB, OTHER, negative="ugly"), 2, 2, 8),
    "fibo, a hole": Drawing(FiboEdit, _edit(RGB, OTHER, hole=HOLE), 1, 2, 4),
}
MAKERS = {"klein": klein.make_tiny, "qwen": qwen_edit.make_tiny, "fibo": fibo_edit.make_tiny}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    for name, make in MAKERS.items():
        (root / name).mkdir()
        make(root / name)
    return {name: root / name for name in MAKERS}


@pytest.fixture(autouse=True)
def four_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give Qwen four steps instead of forty, which would show no more."""
    monkeypatch.setattr("models.backends.diffusion.qwen_edit._STEPS", 4)


Load = Callable[..., Any]


@pytest.fixture(scope="module")
def load(folders: dict[str, Path]) -> Load:
    """A function that returns the model of a drawing, which stays loaded for the other tests."""

    @cache
    def loaded(name: str, dtype: str = "float32") -> Any:
        config = DeviceConfig(dtype=dtype)
        return DRAWINGS[name].kind.load([folders[name.partition(",")[0]]], config, side=64)

    return loaded


def pipe_of(model: Any) -> Any:
    """Return a pipeline of diffusers with the networks of a model."""
    loaded = getattr(model, "_pipeline", model)
    names = ("_plain", "_edit", "_pipe")
    return next(getattr(loaded, name) for name in names if hasattr(loaded, name))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        *((name, "float32") for name in DRAWINGS),
        *((f"{kind}, a hole", "bfloat16") for kind in MAKERS),
    ],
)
def test_a_seed_has_the_same_picture_alone_and_among_others_bit_for_bit(
    load: Load, name: str, dtype: str
) -> None:
    model, call = load(name, dtype), DRAWINGS[name].call
    made = call(model, SEEDS)
    assert len(made) == len(SEEDS)
    assert all(map(np.array_equal, made, call(model, SEEDS)))
    for seed, picture in zip(SEEDS, made, strict=True):
        (alone,) = call(model, [seed])
        assert np.array_equal(picture, alone)
    assert not np.array_equal(*made)


@pytest.mark.parametrize("name", DRAWINGS)
def test_texts_and_pictures_are_encoded_once_for_all_results(load: Load, name: str) -> None:
    model, drawing = load(name), DRAWINGS[name]
    pipe = pipe_of(model)
    with (
        recorded(pipe.text_encoder) as texts,
        recorded(pipe.vae.encoder) as pictures,
        recorded(pipe.transformer) as passes,
        recorded(pipe.vae.decoder) as decoded,
    ):
        drawing.call(model, SEEDS)
    assert sum(len(call.get("input_ids", call.get("0"))) for call in texts) == drawing.texts
    assert len(pictures) == drawing.pictures
    assert [len(call["hidden_states"]) for call in passes] == [1] * drawing.passes * len(SEEDS)
    assert [len(call["0"]) for call in decoded] == [1] * len(SEEDS)


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_seed_gives_no_picture(load: Load, name: str) -> None:
    assert DRAWINGS[name].call(load(name), []) == []


@contextmanager
def after_passes(network: Any, count: int, act: Callable[[], None]) -> Iterator[list[int]]:
    """Do something after some passes of a network; yield a list with a number for each pass."""
    passes: list[int] = []

    def after(*_: Any) -> None:
        passes.append(len(passes))
        if len(passes) == count:
            act()

    hook = network.register_forward_hook(after)
    try:
        yield passes
    finally:
        hook.remove()


@pytest.mark.parametrize("name", ["klein, a hole", "qwen, a hole", "fibo, two pictures"])
def test_a_caller_that_disconnects_stops_between_two_pictures_of_a_step(
    load: Load, name: str
) -> None:
    model = load(name)
    deadline = Deadline()
    with (
        deadline_scope(deadline),
        after_passes(pipe_of(model).transformer, 1, deadline.cancel) as passes,
        pytest.raises(CallerDisconnectedError),
    ):
        DRAWINGS[name].call(model, SEEDS)
    assert len(passes) == 1


@pytest.mark.parametrize("name", ["klein, a fill", "qwen, a fill"])
def test_requests_of_other_threads_do_not_change_the_results(load: Load, name: str) -> None:
    model, call = load(name), DRAWINGS[name].call

    def draw(first: int) -> list[Rgb]:
        return call(model, [first, first + 1])

    alone = [draw(seed) for seed in range(3)]
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(draw), range(3)))
    for one, other in zip(alone, together, strict=True):
        assert all(map(np.array_equal, one, other))


@pytest.mark.parametrize("name", ["klein, a hole", "qwen, two pictures", "fibo, two pictures"])
def test_with_offload_the_pictures_are_the_same(
    load: Load, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is the processor here: accelerate's hooks are set, though nothing moves."""
    model, drawing = load(name), DRAWINGS[name]
    expected = drawing.call(model, SEEDS)
    monkeypatch.setattr(diffusion, "offloads", lambda _: True)
    for _ in range(2):
        for made, picture in zip(drawing.call(model, SEEDS), expected, strict=True):
            # Weights at other addresses are summed in another order.
            assert np.abs(made.astype(int) - picture).max() <= 1

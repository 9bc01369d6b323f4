"""Models of which only the network's part waits for the device: same results, and no weights kept."""

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.backends.matting_input import to_full_size
from models.backends.torch import birefnet
from models.backends.torch.loading import LOADING
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, NothingToCopyError
from models.roles import CAPTIONING, INPAINTING, MATTING, MODERATION, SEGMENTATION, Role
from models.runtime.calls import Call
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.runtime.ray.replica import GroupModels, ModelSource

DIVIDED = (MATTING, INPAINTING, SEGMENTATION, MODERATION, CAPTIONING)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module", params=["tiny-sam", "tiny-sam2"])
def pool(request: Any, weights: Path) -> Pool:
    """The divided models of `tiny`, with one and the other network for segmentation."""
    profile = weights / f"{request.param}.toml"
    profile.write_text(f'base = "tiny"\nsegmentation = "{request.param}"\n')
    return Pool.for_profile(str(profile), weights, device="cpu", roles=DIVIDED)


@pytest.fixture
def engine(pool: Pool) -> Iterator[LocalEngine]:
    engine = LocalEngine(pool)
    yield engine
    assert engine.close(60)


def arguments(role: Role[Any], seed: int = 5) -> tuple[Any, ...]:
    """Return a picture larger than the tiny networks' inputs, and for inpainting two distant holes."""
    rgb = np.random.default_rng(seed).integers(0, 256, (300, 420, 3), np.uint8)
    if role != INPAINTING:
        return (rgb,)
    hole = np.zeros(rgb.shape[:2], np.bool_)
    hole[20:60, 30:70] = hole[250:280, 380:410] = True
    return rgb, hole


def same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)


@pytest.mark.parametrize("role", DIVIDED, ids=str)
def test_a_divided_call_has_the_result_of_a_whole_one(
    pool: Pool, engine: LocalEngine, role: Role[Any]
) -> None:
    args = arguments(role)
    with pool.use(role) as model:
        expected = getattr(model, role.method)(*args)
    assert pool.processing(role) is not None
    with engine.use(role) as proxy:
        assert same(getattr(proxy, role.method)(*args), expected)


@pytest.mark.parametrize("role", DIVIDED, ids=str)
def test_calls_of_several_threads_have_the_results_of_single_ones(
    pool: Pool, engine: LocalEngine, role: Role[Any]
) -> None:
    given = [arguments(role, seed) for seed in range(4)]
    with pool.use(role) as model:
        alone = [getattr(model, role.method)(*args) for args in given]

    def call(args: Any) -> Any:
        with engine.use(role) as proxy:
            return getattr(proxy, role.method)(*args)

    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(call, given))
    for one, other in zip(together, alone, strict=True):
        if role == MATTING:  # a batch sums in another order, and a level may round differently
            assert np.abs(one.astype(int) - other).max() <= 1
        elif role == MODERATION:
            assert one == pytest.approx(other, abs=1e-6)
        else:
            assert same(one, other)


@pytest.mark.parametrize("role", DIVIDED, ids=str)
def test_processing_keeps_no_weights(pool: Pool, role: Role[Any]) -> None:
    with pool.use(role) as model:
        weights = [weakref.ref(one) for net in model.networks() for one in net.parameters()]
        del model
    assert weights
    processing = pool.processing(role)
    pool._residency.make_room()
    gc.collect()
    assert processing is not None
    assert pool.processing(role) == processing
    assert [one() for one in weights] == [None] * len(weights)


def test_a_hole_that_leaves_nothing_is_refused_without_the_network(
    pool: Pool, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb, hole = arguments(INPAINTING)
    with pool.use(INPAINTING) as model:
        monkeypatch.setattr(type(model), "infer", lambda *_: pytest.fail("the network ran"))
        with engine.use(INPAINTING) as proxy, pytest.raises(NothingToCopyError):
            proxy.fill(rgb, hole, ~hole)


@pytest.mark.parametrize("role", [MODERATION, CAPTIONING], ids=str)
def test_torch_is_not_used_on_the_callers_thread_while_a_model_loads(
    pool: Pool, role: Role[Any]
) -> None:
    with pool.use(role) as model:
        image_processor = model.processing.args[0]
    lock: Any = LOADING
    owned: list[bool] = []

    def watched(*args: Any, **named: Any) -> Any:
        owned.append(lock._is_owned())
        return image_processor(*args, **named)

    process = model.processing.func
    process(watched, lambda pixels: 0.5 if role == MODERATION else "a cat", arguments(role)[0])
    assert owned == [True]


@pytest.mark.parametrize("role", [MODERATION, CAPTIONING], ids=str)
def test_a_caller_that_waits_for_a_load_can_give_up(pool: Pool, role: Role[Any]) -> None:
    with pool.use(role) as model:
        process = model.processing
    loading, done, gone = threading.Event(), threading.Event(), Deadline()

    def load() -> None:
        with LOADING:
            loading.set()
            assert done.wait(60)

    def call() -> None:
        with deadline_scope(gone):
            process(lambda pixels: pytest.fail("the network ran"), *arguments(role))

    with ThreadPoolExecutor(2) as threads:
        other = threads.submit(load)
        assert loading.wait(60)
        waiting = threads.submit(call)
        gone.cancel()
        try:
            with pytest.raises(CallerDisconnectedError):
                waiting.result(60)
        finally:
            done.set()
        other.result(60)


def replica_of(pool: Pool, weights: Path) -> GroupModels:
    return GroupModels(ModelSource("tiny", str(weights), device="cpu"), [MATTING], 1)


def test_a_replica_makes_one_mattes_edges_while_the_network_runs_for_another(
    pool: Pool, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, proceed = threading.Event(), threading.Event()
    finish: Callable[..., Any] = to_full_size
    (first,), (second,) = arguments(MATTING, 1), arguments(MATTING, 2)
    with pool.use(MATTING) as model:
        expected = [model.matte(rgb) for rgb in (first, second)]
    replica = replica_of(pool, weights)

    def held(rgb: Any, matte: Any) -> Any:
        if np.array_equal(rgb, first):
            there.set()
            assert proceed.wait(60)
        return finish(rgb, matte)

    monkeypatch.setattr(birefnet, "to_full_size", held)
    slow = replica.submit(Call(MATTING, (first,)))
    assert there.wait(60)
    assert same(replica.submit(Call(MATTING, (second,))).result(60), expected[1])
    assert not slow.done()
    proceed.set()
    assert same(slow.result(60), expected[0])
    assert replica._scheduler.close(60)

"""The local engine: calls run on the caller's thread or on the thread of the device."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.resize import SizeRule
from models.deadline import Deadline, deadline_scope
from models.errors import CallerDisconnectedError, ModelUnavailableError
from models.roles import (
    CAPTIONING,
    FACE_ANALYSIS,
    INPAINTING,
    MATTING,
    MODERATION,
    OUTPAINTING,
    ROLES,
    SEGMENTATION,
    SUPER_RESOLUTION,
)
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from tests.helpers.cards import exclusive, pool

GREY = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture
def models(lite: Pool) -> LocalEngine:
    return LocalEngine(lite)


def test_every_role_of_lite_returns_what_its_model_returns(models: LocalEngine, lite: Pool) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (90, 120, 3), np.uint8)
    hole = np.zeros((90, 120), np.bool_)
    hole[30:50, 40:70] = True
    with models.use(MATTING) as ours, lite.use(MATTING) as model:
        assert np.array_equal(ours.matte(rgb), model.matte(rgb))
    with models.use(INPAINTING) as ours, lite.use(INPAINTING) as model:
        assert np.array_equal(ours.fill(rgb, hole, avoid=None), model.fill(rgb, hole))
    with models.use(SUPER_RESOLUTION) as ours, lite.use(SUPER_RESOLUTION) as model:
        assert np.array_equal(ours.upscale(rgb, 2), model.upscale(rgb, 2))
    with models.use(SEGMENTATION) as ours, lite.use(SEGMENTATION) as model:
        assert np.array_equal(ours.segment(rgb), model.segment(rgb))
    with models.use(MODERATION) as ours, lite.use(MODERATION) as model:
        assert ours.score(rgb) == model.score(rgb)
    with models.use(FACE_ANALYSIS) as ours:
        assert ours.analyse(rgb) == []


def test_a_role_without_a_model_is_an_error(models: LocalEngine) -> None:
    assert models.offers(MATTING)
    assert not models.offers(CAPTIONING)
    with pytest.raises(ModelUnavailableError, match="captioning"), models.use(CAPTIONING):
        pass


def test_a_proxy_has_only_the_method_and_the_sizes_of_its_role(tmp_path: Path) -> None:
    class Painter:
        sizes = SizeRule(8, 64, 8)

        def outpaint(self, *args: Any) -> Any:
            return args

    engine, _ = exclusive(tmp_path, {OUTPAINTING: Painter()})
    with engine.use(OUTPAINTING) as proxy:
        assert proxy.sizes == SizeRule(8, 64, 8)
        assert proxy.outpaint(1, 2, 3) == (1, 2, 3)  # type: ignore[call-arg]
        for method in {role.method for role in ROLES} - {"outpaint"}:
            with pytest.raises(AttributeError):
                getattr(proxy, method)
    assert engine.close(10)


def test_a_model_for_one_call_at_a_time_is_released_after_each_call(tmp_path: Path) -> None:
    class Model:
        def caption(self, rgb: Any) -> str:
            return str(held.stats()[CAPTIONING].in_use)

    engine, held = exclusive(tmp_path, {CAPTIONING: Model()})
    with engine.use(CAPTIONING) as captioning:
        assert held.stats()[CAPTIONING].in_use == 0
        assert captioning.caption(GREY) == "1"
    assert engine.close(10)
    assert held.stats()[CAPTIONING].in_use == 0


def test_models_of_one_device_never_run_at_the_same_time(tmp_path: Path) -> None:
    running = threading.Semaphore(1)

    class Model:
        def matte(self, rgb: Any) -> str:
            assert running.acquire(blocking=False), "two models run at the same time"
            time.sleep(0.002)
            running.release()
            return threading.current_thread().name

        score = matte

    engine, _ = exclusive(tmp_path, {MATTING: Model(), MODERATION: Model()})

    def work(n: int) -> Any:
        with engine.use(MATTING) as matting, engine.use(MODERATION) as moderation:
            return matting.matte(GREY) if n % 2 else moderation.score(GREY)

    with ThreadPoolExecutor(8) as callers:
        assert set(callers.map(work, range(64))) == {"cpu-0"}
    assert engine.close(10)


def test_a_model_for_many_calls_runs_on_the_callers_thread(tmp_path: Path) -> None:
    class Model:
        def matte(self, rgb: Any) -> str:
            return threading.current_thread().name

    with LocalEngine(pool(tmp_path, matting=lambda *_: Model())).use(MATTING) as matting:
        assert str(matting.matte(GREY)) == threading.current_thread().name


def test_cancelled_work_gets_no_model(models: LocalEngine) -> None:
    deadline = Deadline()
    deadline.cancel()
    with (
        deadline_scope(deadline),
        pytest.raises(CallerDisconnectedError),
        models.use(MATTING),
    ):
        pass


def test_the_warm_up_runs_on_the_thread_of_the_device(tmp_path: Path) -> None:
    seen: list[str] = []

    class Model:
        def matte(self, rgb: Any) -> None:
            seen.append(threading.current_thread().name)

    engine, held = exclusive(tmp_path, {MATTING: Model()})
    engine.warm_up()
    assert seen == ["cpu-0"]
    assert held.stats()[MATTING].loaded
    assert engine.close(10)


def test_enlarging_stops_at_the_next_tile_when_the_caller_disconnects(models: LocalEngine) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), np.uint8)
    deadline = Deadline()
    threading.Timer(0.3, deadline.cancel).start()
    with (
        deadline_scope(deadline),
        models.use(SUPER_RESOLUTION) as model,
        pytest.raises(CallerDisconnectedError),
    ):
        model.upscale(rgb, 4)


def test_the_warm_up_loads_every_model(weights_dir: Path) -> None:
    fresh = Pool.for_profile("lite", weights_dir)
    LocalEngine(fresh).warm_up()
    assert all(row.loaded for row in fresh.stats().values())


def test_it_tells_which_models_are_loaded_and_used(models: LocalEngine, lite: Pool) -> None:
    models.warm_up()
    with models.use(MATTING):
        states = models.model_states()
        assert [(one.role, one.users) for one in states.models if one.users] == [("matting", 1)]
    by_role = {one.role: one for one in states.models}
    assert by_role.keys() == {role.name for role in lite.profile}
    for role, known in lite.profile.items():
        found = by_role[role.name]
        assert (found.model, found.memory_mb, found.device) == (known.name, known.memory_mb, "cpu")
        assert found.dtype == "float32"
        assert found.is_loaded
    assert states.held_mb == lite.held_mb
    assert states.budget_mb is None
    assert states.device is None  # no model of it needs torch

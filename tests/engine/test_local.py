"""The engine in this process: the pool's own results, through stand-ins that pipelines take for models."""

import threading
from pathlib import Path

import numpy as np
import pytest

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
    SizeRule,
)
from models.runtime.engine import Call
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.runtime.remote_models import RemoteModels
from tests.models.test_pool import pool


@pytest.fixture
def models(lite: Pool) -> RemoteModels:
    return RemoteModels(LocalEngine(lite, concurrency=2, queue=8))


def test_every_role_of_lite_answers_as_its_model_does(models: RemoteModels, lite: Pool) -> None:
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


def test_what_the_profile_lacks_is_said(models: RemoteModels) -> None:
    assert models.offers(MATTING)
    assert not models.offers(CAPTIONING)
    with (
        models.use(CAPTIONING) as captioning,
        pytest.raises(ModelUnavailableError, match="captioning"),
    ):
        captioning.caption(np.zeros((8, 8, 3), np.uint8))


def test_a_stand_in_has_its_roles_method_and_sizes_alone(tmp_path: Path) -> None:
    class Painter:
        sizes = SizeRule(8, 64, 8)

    engine = LocalEngine(pool(tmp_path, outpainting=lambda *_: Painter()), 1, 1)
    with RemoteModels(engine).use(OUTPAINTING) as lent:
        assert lent.sizes == SizeRule(8, 64, 8)
        for method in {role.method for role in ROLES} - {"outpaint"}:
            with pytest.raises(AttributeError):
                getattr(lent, method)


def test_a_call_carries_the_scope_it_is_made_in() -> None:
    with deadline_scope(Deadline()) as deadline:
        assert Call(MATTING).deadline is deadline


def test_enlarging_ends_at_the_next_tile_when_its_caller_leaves(models: RemoteModels) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (1200, 1200, 3), np.uint8)
    deadline = Deadline()
    threading.Timer(0.3, deadline.cancel).start()
    with (
        deadline_scope(deadline),
        models.use(SUPER_RESOLUTION) as model,
        pytest.raises(CallerDisconnectedError),
    ):
        model.upscale(rgb, 4)


def test_warming_up_loads_every_model(weights_dir: Path) -> None:
    fresh = Pool.for_profile("lite", weights_dir)
    RemoteModels(LocalEngine(fresh, 1, 1)).warm_up()
    assert all(row.loaded for row in fresh.stats().values())

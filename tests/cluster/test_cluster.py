"""Models on a Ray cluster: same pictures as the local engine, even if nodes and replicas die."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from signal import SIGTERM
from typing import Any

import numpy as np
import pytest
import ray
from ray.exceptions import ActorDiedError, LocalRayletDiedError

from imaging.picture import Picture
from models.catalog.profile import load_profile
from models.deadline import Deadline, deadline_scope
from models.errors import (
    CallerDisconnectedError,
    DeadlineExceededError,
    EngineBusyError,
    EngineUnavailableError,
    ModelUnavailableError,
    NothingToCopyError,
)
from models.log_context import log_scope
from models.roles import FACE_ANALYSIS, INPAINTING, MATTING, MODERATION, SUPER_RESOLUTION
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.runtime.ray.cluster import ClusterEngine
from pipelines.background_remove import background_remove
from pipelines.eraser import eraser
from pipelines.objects_mask_generator import objects_mask_generator
from tests.helpers.ray_cluster import QUEUE, Cluster

Photo = Callable[[str], Picture]


@pytest.fixture
def models(engine: ClusterEngine) -> ClusterEngine:
    return engine


@pytest.fixture
def local_engine(lite: Pool) -> LocalEngine:
    return LocalEngine(lite)


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(24) as threads:
        yield threads


def hole_in(picture: Picture) -> Any:
    hole = np.zeros(picture.rgb.shape[:2], np.uint8)
    hole[100:150, 120:180] = 255
    return hole


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea"])
def test_pictures_of_both_engines_are_identical(
    models: ClusterEngine, local_engine: ClusterEngine, photo: Photo, name: str
) -> None:
    picture = photo(name)
    cluster_cut, cut = (background_remove(picture, m) for m in (models, local_engine))
    assert np.array_equal(cluster_cut.rgb, cut.rgb)
    assert np.array_equal(cluster_cut.alpha, cut.alpha)
    cluster_filled, filled = (eraser(picture, hole_in(picture), m) for m in (models, local_engine))
    assert np.array_equal(cluster_filled.rgb, filled.rgb)
    cluster_labels, labels = (objects_mask_generator(picture, m) for m in (models, local_engine))
    assert np.array_equal(cluster_labels, labels)


def test_results_of_the_other_roles_are_identical(
    models: ClusterEngine, local_engine: ClusterEngine, photo: Photo
) -> None:
    rgb = photo("astronaut").rgb
    with models.use(MODERATION) as there, local_engine.use(MODERATION) as model:
        assert there.score(rgb) == model.score(rgb)
    with models.use(FACE_ANALYSIS) as there, local_engine.use(FACE_ANALYSIS) as model:
        (face,), (other,) = there.analyse(rgb), model.analyse(rgb)
        assert face.rect == other.rect
        assert np.array_equal(face.landmarks, other.landmarks)
    small = np.ascontiguousarray(rgb[:100, :120])
    with models.use(SUPER_RESOLUTION) as there, local_engine.use(SUPER_RESOLUTION) as model:
        assert np.array_equal(there.upscale(small, 2), model.upscale(small, 2))


def test_the_lines_of_a_replica_have_the_id_of_the_request(
    models: ClusterEngine, photo: Photo, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    node: Any = ray._private.worker.global_worker.node
    logs = Path(node.get_session_dir_path(), "logs")
    with log_scope({"request_id": "order-4711"}), models.use(MODERATION) as moderation:
        moderation.score(photo("coffee").rgb)

    def is_logged() -> bool:
        lines = [line for file in logs.glob("worker-*") for line in file.read_text().splitlines()]
        said = [line for line in lines if "request_id=order-4711" in line]
        return any("moderation took" in line for line in said)

    wait_until(is_logged)


def test_a_caller_can_modify_its_result(models: ClusterEngine, photo: Photo) -> None:
    with models.use(MATTING) as matting:
        matte = matting.matte(np.tile(photo("coffee").rgb, (3, 3, 1)))
    assert matte.nbytes > 2**20
    matte[:] = 0


def test_an_error_of_a_model_is_the_same_as_on_the_local_engine(models: ClusterEngine) -> None:
    small = np.zeros((8, 8, 3), np.uint8)
    with models.use(INPAINTING) as inpainting, pytest.raises(NothingToCopyError):
        inpainting.fill(small, np.ones((8, 8), np.bool_))
    with models.use(SUPER_RESOLUTION) as model, pytest.raises(ValueError, match="factor 3"):
        model.upscale(small, 3)


def test_a_caller_that_disconnects_frees_the_replica(models: ClusterEngine, photo: Photo) -> None:
    rgb = np.tile(photo("coffee").rgb, (3, 3, 1))
    deadline = Deadline()
    threading.Timer(1, deadline.cancel).start()
    with models.use(SUPER_RESOLUTION) as model:
        with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
            model.upscale(rgb, 4)
        # Minutes of work were cancelled: the only replica is free again.
        with deadline_scope(Deadline(60)):
            assert model.upscale(rgb[:64, :64].copy(), 2).shape == (128, 128, 3)


def test_a_deadline_is_enforced_on_the_replica(models: ClusterEngine, photo: Photo) -> None:
    rgb = np.tile(photo("coffee").rgb, (3, 3, 1))
    with models.use(SUPER_RESOLUTION) as model:
        with deadline_scope(Deadline(1)), pytest.raises(DeadlineExceededError):
            model.upscale(rgb, 4)
        with deadline_scope(Deadline(60)):
            model.upscale(rgb[:64, :64].copy(), 2)


def test_too_many_calls_are_refused(
    engine: ClusterEngine, photo: Photo, callers: ThreadPoolExecutor
) -> None:
    rgb = np.tile(photo("coffee").rgb, (3, 3, 1))
    deadline = Deadline()

    def enlarge() -> None:
        with deadline_scope(deadline):
            engine.call(SUPER_RESOLUTION, rgb, 4)

    made = [callers.submit(enlarge) for _ in range(QUEUE + 8)]
    done, _ = wait(made, 60, FIRST_COMPLETED)
    deadline.cancel()
    refusal = done.pop().exception()
    assert isinstance(refusal, EngineBusyError)
    assert refusal.retry_after >= 1
    assert f"{QUEUE} calls wait for super_resolution" in str(refusal)
    for one in made:
        assert isinstance(one.exception(60), EngineBusyError | CallerDisconnectedError)


@pytest.mark.parametrize("loss", ["replica", "node"])
def test_calls_succeed_although_replicas_and_nodes_die(
    cluster: Cluster,
    engine: ClusterEngine,
    photo: Photo,
    callers: ThreadPoolExecutor,
    loss: str,
) -> None:
    rgb = photo("coffee").rgb
    expected = engine.call(MATTING, rgb)
    stop = threading.Event()

    def keep_calling() -> int:
        count = 0
        while not stop.is_set():
            with deadline_scope(Deadline(100)):
                assert np.array_equal(engine.call(MATTING, rgb), expected)
            count += 1
        return count

    calling = [callers.submit(keep_calling) for _ in range(4)]
    time.sleep(1)
    if loss == "replica":
        cluster.kill_replica("matting")
    else:
        cluster.lose_a_node()
    time.sleep(2)
    stop.set()
    assert all(one.result(120) > 0 for one in calling)


def test_a_profile_that_is_not_deployed_is_an_error(cluster: Cluster, engine: Any) -> None:
    other = ClusterEngine(cluster.address, load_profile("open"), QUEUE)
    with pytest.raises(ModelUnavailableError, match="other models"):
        other.warm_up()


def test_a_missing_cluster_is_an_error() -> None:
    engine = ClusterEngine("127.0.0.1:1", load_profile("lite"), QUEUE)
    with pytest.raises(EngineUnavailableError, match="not started"):
        engine.call(MATTING, np.zeros((8, 8, 3), np.uint8))


def test_an_invalid_profile_is_not_deployed(cluster: Cluster) -> None:
    done = cluster.deploy(profile="nonsense")
    assert done.returncode == 2
    assert "no profile 'nonsense'" in done.stderr


class Failing:
    """A Ray handle; every call of it raises the same error."""

    def __init__(self, error: Exception) -> None:
        self.run = self
        self.error = error
        self.calls = 0

    def remote(self, *_: object) -> "Failing":
        self.calls += 1
        return self

    def result(self, timeout_s: float) -> None:
        raise self.error


def failing(error: Exception) -> tuple[ClusterEngine, Failing]:
    engine = ClusterEngine("nowhere:1", load_profile("lite"), QUEUE)
    handle = Failing(error)
    engine._handles[MATTING] = handle  # type: ignore[assignment]
    return engine, handle


def test_a_call_that_crashes_several_replicas_is_given_up() -> None:
    engine, handle = failing(ActorDiedError())
    with pytest.raises(RuntimeError, match="3 replicas of matting died of one call"):
        engine.call(MATTING, 1)
    assert handle.calls == 3


def test_a_process_ends_when_its_node_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, handle = failing(LocalRayletDiedError())
    signals: list[tuple[int, int]] = []
    monkeypatch.setattr("os.kill", lambda *sent: signals.append(sent))
    with pytest.raises(EngineUnavailableError, match="shuts down"):
        engine.call(MATTING, 1)
    assert signals == [(os.getpid(), SIGTERM)]
    assert handle.calls == 1

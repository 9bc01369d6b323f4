"""The models of a replica, without a cluster: each role answers, and `sizes` at once, even during a call."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from models.roles import MODERATION
from models.runtime.calls import Call
from models.runtime.ray.deployments import RoleReplica
from models.runtime.ray.replica import GroupModels, ModelSource


def test_sizes_are_returned_while_a_call_is_running(weights_dir: Path) -> None:
    model = GroupModels(ModelSource("lite", str(weights_dir)), [MODERATION], 1)
    started, proceed = threading.Event(), threading.Event()

    def block() -> None:
        started.set()
        assert proceed.wait(30)

    blocking = model._scheduler.submit(block)
    assert started.wait(10)
    with ThreadPoolExecutor(1) as callers:
        try:
            assert callers.submit(model.sizes, MODERATION).result(10) is None
            assert not blocking.done()
        finally:
            proceed.set()
    scores = model.submit(Call(MODERATION, (np.full((8, 8, 3), 128, np.uint8),))).result(30)
    assert 0 <= scores["nsfw"] <= 1
    assert model._scheduler.close(10)


def test_a_replica_of_a_group_answers_for_each_of_its_roles(weights_dir: Path) -> None:
    source = ModelSource("lite", str(weights_dir))
    replica = RoleReplica(source, ["moderation", "matting"], 1)
    grey = np.full((8, 12, 3), 128, np.uint8)

    def run(role: str) -> Any:
        return asyncio.run(replica.run([grey], {}, None, time.time(), {}, role))

    assert run("matting").shape == (8, 12)
    assert 0 <= run("moderation")["nsfw"] <= 1
    assert 0 <= run("")["nsfw"] <= 1  # as servers of release 0.2 call
    assert replica.sizes("matting") is replica.sizes() is None
    assert replica._models._scheduler.close(10)

"""The model of a replica, without Ray: `sizes` is answered at once, even during a call."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from models.roles import MODERATION
from models.runtime.calls import Call
from models.runtime.ray.replica import ModelSource, RoleModel


def test_sizes_are_returned_while_a_call_is_running(weights_dir: Path) -> None:
    model = RoleModel(ModelSource("lite", str(weights_dir)), MODERATION, 1)
    started, proceed = threading.Event(), threading.Event()

    def block() -> None:
        started.set()
        assert proceed.wait(30)

    blocking = model._scheduler.submit(block)
    assert started.wait(10)
    with ThreadPoolExecutor(1) as callers:
        try:
            assert callers.submit(model.sizes).result(10) is None
            assert not blocking.done()
        finally:
            proceed.set()
    scores = model.submit(Call(MODERATION, (np.full((8, 8, 3), 128, np.uint8),))).result(30)
    assert 0 <= scores["nsfw"] <= 1
    assert model._scheduler.close(10)

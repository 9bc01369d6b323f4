"""A replica's model, without Ray: it answers what it is asked beside its calls at once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from models.roles import MODERATION
from models.runtime.calls import Call
from models.runtime.ray.replica import ModelSource, RoleModel


def test_sizes_are_told_while_a_call_is_at_work(weights_dir: Path) -> None:
    model = RoleModel(ModelSource("lite", str(weights_dir)), MODERATION, 1)
    begun, let = threading.Event(), threading.Event()

    def hold() -> None:
        begun.set()
        assert let.wait(30)

    held = model._scheduler.submit(hold)
    assert begun.wait(10)
    with ThreadPoolExecutor(1) as asking:
        try:
            assert asking.submit(model.sizes).result(10) is None
            assert not held.done()
        finally:
            let.set()
    scores = model.submit(Call(MODERATION, (np.full((8, 8, 3), 128, np.uint8),))).result(30)
    assert 0 <= scores["nsfw"] <= 1
    assert model._scheduler.close(10)

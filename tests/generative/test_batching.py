"""Models that batch calls: each result is that of a single call, except for rounding."""

from typing import Any

import numpy as np
import pytest

from models.catalog.profile import load_profile
from models.catalog.registry import CARDS
from models.roles import MATTING, MODERATION
from models.runtime.pool import Pool

BATCHED = [role for role, card in load_profile("tiny").items() if card.max_batch > 1]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return Pool.for_profile("tiny", tmp_path_factory.mktemp("weights"), device="cpu", roles=BATCHED)


def pictures() -> list[Any]:
    random = np.random.default_rng(5)
    sides = [(40, 60), (80, 30), (64, 64)]
    return [random.integers(0, 256, (*side, 3), np.uint8) for side in sides]


def test_which_roles_batch() -> None:
    assert BATCHED == [MATTING, MODERATION]


@pytest.mark.parametrize("role", BATCHED)
def test_a_batch_has_the_results_of_single_calls(tiny: Pool, role: Any) -> None:
    calls = [((rgb,), {}) for rgb in pictures()]
    with tiny.use(role) as model:
        assert len({model.batch_key(*args) for args, _ in calls}) == 1
        together = model.predict_batch(calls)
        alone = [getattr(model, role.method)(*args) for args, _ in calls]
    for one, other in zip(together, alone, strict=True):
        if role == MATTING:
            assert one.shape == other.shape
            assert np.abs(one - other).max() < 1e-5
            assert np.ptp(one) > 0
        else:
            assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("role", BATCHED)
def test_results_of_a_batch_are_not_mixed_up(tiny: Pool, role: Any) -> None:
    calls = [((rgb,), {}) for rgb in pictures()]
    with tiny.use(role) as model:
        results = model.predict_batch(calls)
        backwards = model.predict_batch(calls[::-1])
    for one, other in zip(results, backwards[::-1], strict=True):
        if role == MATTING:
            assert one.shape == other.shape
        else:
            assert one == pytest.approx(other, abs=1e-6)


def test_every_batching_card_has_a_counterpart_in_tiny() -> None:
    backends = {card.backend for card in load_profile("tiny").values() if card.max_batch > 1}
    assert {card.backend for card in CARDS if card.max_batch > 1} == backends

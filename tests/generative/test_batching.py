"""Models that take several calls at once: each gets what it would have got alone, but for rounding."""

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


def test_the_roles_that_batch() -> None:
    assert BATCHED == [MATTING, MODERATION]


@pytest.mark.parametrize("role", BATCHED)
def test_together_is_as_good_as_alone(tiny: Pool, role: Any) -> None:
    given = [((rgb,), {}) for rgb in pictures()]
    with tiny.use(role) as model:
        assert len({model.batch_key(*args) for args, _ in given}) == 1
        together = model.predict_batch(given)
        alone = [getattr(model, role.method)(*args) for args, _ in given]
    for one, other in zip(together, alone, strict=True):
        if role == MATTING:
            assert one.shape == other.shape
            assert np.abs(one - other).max() < 1e-5
            assert np.ptp(one) > 0
        else:
            assert one == pytest.approx(other, abs=1e-6)


@pytest.mark.parametrize("role", BATCHED)
def test_of_several_at_once_none_is_taken_for_another(tiny: Pool, role: Any) -> None:
    given = [((rgb,), {}) for rgb in pictures()]
    with tiny.use(role) as model:
        results = model.predict_batch(given)
        backwards = model.predict_batch(given[::-1])
    for one, other in zip(results, backwards[::-1], strict=True):
        if role == MATTING:
            assert one.shape == other.shape
        else:
            assert one == pytest.approx(other, abs=1e-6)


def test_every_card_that_batches_has_its_like_in_tiny() -> None:
    backends = {card.backend for card in load_profile("tiny").values() if card.max_batch > 1}
    assert {card.backend for card in CARDS if card.max_batch > 1} == backends

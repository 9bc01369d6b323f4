"""Models whose networks run for several calls together: each output is that of a single run, up to rounding."""

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


def inputs(model: Any) -> list[Any]:
    """Return what the network of a model is fed for each of the pictures."""
    fed: list[Any] = []

    def infer(value: Any) -> Any:
        fed.append(value)
        return model.infer([value])[0]

    for rgb in pictures():
        model.processing(infer, rgb)
    return fed


@pytest.mark.parametrize("role", BATCHED)
def test_a_batch_has_the_results_of_single_runs(tiny: Pool, role: Any) -> None:
    with tiny.use(role) as model:
        fed = inputs(model)
        assert len({model.batch_key(one) for one in fed}) == 1
        together = model.infer(fed)
        alone = [model.infer([one])[0] for one in fed]
    for one, other in zip(together, alone, strict=True):
        assert one == pytest.approx(other, abs=1e-5)
        if role == MATTING:
            assert np.ptp(one) > 0


@pytest.mark.parametrize("role", BATCHED)
def test_results_of_a_batch_are_not_mixed_up(tiny: Pool, role: Any) -> None:
    with tiny.use(role) as model:
        fed = inputs(model)
        results, backwards = model.infer(fed), model.infer(fed[::-1])
    for one, other in zip(results, backwards[::-1], strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_every_batching_card_has_a_counterpart_in_tiny() -> None:
    backends = {card.backend for card in load_profile("tiny").values() if card.max_batch > 1}
    assert {card.backend for card in CARDS if card.max_batch > 1} == backends

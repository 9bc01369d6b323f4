"""The tiny cards of SDXL: a negative prompt has its effect on each, and they have the recipes of real cards."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from imaging.picture import Rgb
from models.backends.diffusion import face_editing
from models.catalog.card import by_name
from models.catalog.registry import CARDS
from models.device import DeviceConfig
from models.roles import Face
from models.tiny import maker
from models.weights.cache import WeightsCache

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
RGB = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
HOLE = np.pad(np.ones((32, 32), np.bool_), 16)
FACE = Face((12, 12, 40, 40), np.zeros((0, 2), np.float32), score=1, yaw=0, roll=0)
Call = Callable[[Any, str], Rgb]


def _face(model: Any, negative: str) -> Rgb:
    """Return a face whose standing negative prompt is replaced: callers send none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(face_editing, "_ALWAYS_AVOIDED", negative)
        made: Rgb = model.edit_face(RGB, FACE, {"makeup": "light"}, 1)[0]
        return made


CALLS: dict[str, Call] = {
    "tiny-fill": lambda model, text: model.fill_by_prompt(RGB, HOLE, "a cat", text, [1])[0],
    "tiny-scene": lambda model, text: model.scenes(
        RGB, (~HOLE).astype(np.float32), "a cat", text, [1]
    )[0],
    "tiny-outpaint": lambda model, text: model.outpaint(RGB, HOLE, "a cat", text, 1),
    "tiny-faces": _face,
}


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """Return a function that loads a tiny card as the server does."""
    cache = WeightsCache(tmp_path_factory.mktemp("weights"))
    cards = by_name(CARDS)

    def load(name: str) -> Any:
        for part in cards[name].folders:
            maker.make(part, cache.path(part))  # type: ignore[arg-type]
        return cards[name].load(cache.paths(cards[name]), DeviceConfig())

    return load


@pytest.mark.parametrize("name", CALLS)
def test_a_negative_prompt_changes_the_result_and_an_empty_one_nothing(
    load: Callable[[str], Any], name: str
) -> None:
    model = load(name)
    without, blank, ugly = (CALLS[name](model, text) for text in ("", "  ", "ugly"))
    assert np.array_equal(without, blank)
    assert not np.array_equal(without, ugly)

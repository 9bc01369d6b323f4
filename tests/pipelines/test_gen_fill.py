"""That generative fill shows no colour which an alpha hides, where it must not."""

from typing import Any

import numpy as np
import pytest

from imaging.picture import Picture
from pipelines.gen_fill import gen_fill, gen_fill_refined
from tests.helpers.fake_models import GenerativeModels, SeedPainter

HIDDEN, SHOWN = (200, 0, 0), (90, 90, 90)
PROMPT = ("a dog", "", [4])


class Watcher(SeedPainter):
    """Notes the colours that it sees."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def fill_by_prompt(self, rgb: Any, *rest: Any) -> Any:
        """Note the colours, and paint nothing but white."""
        self.seen.append(rgb)
        return [np.full_like(rgb, 255)]

    def caption(self, rgb: Any) -> str:
        """Note the colours."""
        self.seen.append(rgb)
        return "a wall"


class WatchedModels(GenerativeModels):
    """One fake that notes what it sees, in every role of generation."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher = Watcher()
        watched: dict[Any, Any] = {
            r: lambda: self.watcher for r, f in self.fakes.items() if f is SeedPainter
        }
        self.fakes = dict(self.fakes) | watched


def half_hidden() -> Picture:
    rgb = np.full((400, 600, 3), SHOWN, np.uint8)
    alpha = np.full((400, 600), 255, np.uint8)
    rgb[:, :300], alpha[:, :300] = HIDDEN, 0
    return Picture(rgb, alpha)


def across() -> Any:
    mask = np.zeros((400, 600), np.uint8)
    mask[100:300, 150:450] = 255
    return mask


def redness(rgb: Any) -> int:
    return int((rgb[..., 0].astype(int) - rgb[..., 1]).max())


@pytest.mark.parametrize("fill", [gen_fill, gen_fill_refined])
def test_over_white_no_hidden_colour_is_seen_or_shown(fill: Any) -> None:
    models, picture, mask = WatchedModels(), half_hidden(), across()
    assert picture.alpha is not None
    made = fill(picture, mask, models, *PROMPT, over_white=True)
    (result,) = made if fill is gen_fill else made.pictures
    assert models.watcher.seen
    assert all(redness(rgb) <= 2 for rgb in models.watcher.seen)
    inside = mask > 0
    assert redness(result.rgb[inside]) <= 2
    assert (result.alpha[inside] == 255).all()
    np.testing.assert_array_equal(result.rgb[~inside], picture.rgb[~inside])
    np.testing.assert_array_equal(result.alpha[~inside], picture.alpha[~inside])


def test_by_default_it_is_given_the_colours_as_stored() -> None:
    models = WatchedModels()
    (result,) = gen_fill(half_hidden(), across(), models, *PROMPT)
    assert redness(models.watcher.seen[0]) > 100
    assert redness(result.rgb[across() > 0]) > 20

"""Alpha that is kept, laid over white or made solid; no colour that an alpha hides appears."""

import numpy as np
import pytest

from imaging.picture import Alpha8, Picture
from pipelines.common.opacity import (
    check_edges,
    check_visible,
    hidden_parts,
    opaque,
    solid,
    visible_part,
    with_alpha,
)
from pipelines.errors import NothingVisibleError, TransparentEdgeError


def noise(alpha: Alpha8 | None) -> Picture:
    """Return a picture of noise; what its alpha hides is green."""
    shape = (40, 60) if alpha is None else alpha.shape
    rgb = np.random.default_rng(8).integers(0, 256, (*shape, 3), np.uint8)
    if alpha is not None:
        rgb[alpha == 0] = (0, 255, 0)
    return Picture(rgb, alpha)


def graded() -> Alpha8:
    """Return every alpha from 0 to 255, one a column."""
    return np.tile(np.arange(256, dtype=np.uint8), (20, 1))


def test_opaque_is_over_white_and_keeps_opaque_pixels() -> None:
    picture = noise(graded())
    result = opaque(picture)
    assert result.alpha is None
    np.testing.assert_array_equal(result.rgb[:, 255], picture.rgb[:, 255])
    assert (result.rgb[:, 0] == 255).all()
    share = np.arange(256)[None, :, None] / 255
    expected = picture.rgb * share + 255 * (1 - share)
    assert np.abs(result.rgb - expected).max() <= 0.5001


def test_without_alpha_nothing_happens() -> None:
    picture = noise(None)
    assert opaque(picture) is picture
    assert solid(picture) is picture
    check_edges(picture)
    check_visible(picture)


@pytest.mark.parametrize("preserve", [None, True])
def test_only_false_changes_a_result(preserve: bool | None) -> None:
    picture = noise(graded())
    assert with_alpha(picture, preserve) is picture
    assert visible_part(picture, preserve) is picture
    assert with_alpha(picture, False).alpha is None
    assert visible_part(picture, False).alpha is not picture.alpha


def test_solid_keeps_colours_and_hides_what_was_hidden() -> None:
    alpha = np.full((60, 80), 90, np.uint8)
    alpha[:, :30] = 0
    alpha[:, 30] = 12
    picture = noise(alpha)
    result = solid(picture)
    assert result.alpha is not None
    assert result.rgb is picture.rgb
    assert (result.alpha[:, :30] == 0).all()
    # a soft edge of two pixels, not a step
    assert result.alpha[0, 30:35].tolist() == [12, 90, 128, 255, 255]
    assert (result.alpha[:, 33:] == 255).all()


def test_solid_without_hidden_parts_is_without_alpha() -> None:
    assert solid(noise(np.full((9, 9), 13, np.uint8))).alpha is None


def test_solid_raises_a_quarter_of_the_highest_alpha_to_255_and_fades_below() -> None:
    own = graded()
    alpha = solid(noise(own)).alpha
    assert alpha is not None
    assert alpha[0, :15].tolist() == list(range(15))  # hidden, and the ring beside it
    assert (alpha[:, 64:] == 255).all()
    assert (alpha >= own).all()
    steps = np.diff(alpha[0].astype(int))
    assert (steps >= 0).all()
    assert steps[15:].max() <= 5  # no step within what fades


def test_solid_is_relative_to_the_highest_alpha() -> None:
    own = np.full((9, 9), 80, np.uint8)
    own[:, :4] = 20
    assert solid(noise(own)).alpha is None
    own[0, 8] = 255
    alpha = solid(noise(own)).alpha
    assert alpha is not None
    assert (alpha[:, 4:] == 255).all()
    assert (alpha[:, :4] < 60).all()


@pytest.mark.parametrize("level", [0, 1, 12])
def test_solid_leaves_a_picture_that_nobody_sees(level: int) -> None:
    alpha = solid(noise(np.full((3, 3), level, np.uint8))).alpha
    assert alpha is not None
    assert (alpha == level).all()


def test_an_alpha_that_is_faint_everywhere_hides_only_where_it_is_0() -> None:
    alpha = np.array([[0, 5], [12, 3]], np.uint8)
    assert hidden_parts(alpha).tolist() == [[True, False], [False, False]]
    alpha[0, 1] = 200
    assert hidden_parts(alpha).tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize(
    ("place", "name"),
    [((0, 5), "top"), ((-1, 5), "bottom"), ((5, 0), "left"), ((5, -1), "right")],
)
def test_a_transparent_pixel_on_an_edge_is_an_error(place: tuple[int, int], name: str) -> None:
    alpha = np.full((10, 12), 1, np.uint8)
    alpha[4:6, 4:6] = 0
    check_edges(noise(alpha))
    alpha[place] = 0
    with pytest.raises(TransparentEdgeError, match=f"along its {name} edge"):
        check_edges(noise(alpha))


def test_a_wholly_transparent_picture_is_an_error() -> None:
    alpha = np.zeros((1, 1), np.uint8)
    with pytest.raises(NothingVisibleError):
        check_visible(noise(alpha))
    check_visible(noise(alpha + 1))

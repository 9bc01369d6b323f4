"""The matting measure ranks mattes rightly, and composites have the alpha that they claim."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.picture import Matte
from scripts.quality_measures.composites import compose, composites, cut, outlines
from scripts.quality_measures.matting import matte_errors, summary, well_inside
from scripts.quality_measures.photographs import Photographs, half_of
from tests.scripts.quality.made_pictures import disc, texture


def true_alpha() -> Matte:
    """A soft disc."""
    solid = disc(200, 300, 150, 100, 60).astype(np.uint8) * 255
    return np.asarray(cv2.GaussianBlur(solid, (0, 0), 2), np.uint8)


def test_the_true_alpha_has_no_errors() -> None:
    errors = matte_errors(true_alpha(), true_alpha())
    assert (errors.error, errors.iou, errors.see_through) == (0, 1, 0)


def test_worse_mattes_have_larger_errors() -> None:
    true = true_alpha()
    shifted = np.roll(true, 4, 1)
    far = np.roll(true, 60, 1)
    empty = np.zeros_like(true)
    found = [matte_errors(matte, true) for matte in (true, shifted, far, empty)]
    assert [one.iou for one in found] == sorted((one.iou for one in found), reverse=True)
    assert found[0].error < found[1].error < found[2].error
    assert found[3].iou == 0
    assert found[3].error == pytest.approx(true.mean() / 255)


def test_a_thin_inside_is_see_through_and_a_soft_edge_is_not() -> None:
    true = true_alpha()
    thin = np.minimum(true, 230)
    hole = np.where(disc(200, 300, 150, 100, 10), np.uint8(0), true)
    assert matte_errors(thin, true).see_through == 1
    assert 0 < matte_errors(hole, true).see_through < 0.1
    assert matte_errors(cv2.GaussianBlur(true, (0, 0), 1), true).see_through == 0


def test_the_frame_is_inside() -> None:
    true = np.zeros((100, 100), np.uint8)
    true[50:, 20:80] = 255
    inside = well_inside(true)
    assert inside[99, 50]
    assert not inside[51, 50]


def test_a_summary_tells_the_worst() -> None:
    true = true_alpha()
    found = summary([matte_errors(true, true), matte_errors(np.roll(true, 60, 1), true)])
    assert found.count == 2
    assert found.worst_iou < found.iou < 1


def test_a_composite_is_the_subject_in_front_of_the_photograph() -> None:
    rgb = np.full((120, 160, 3), (250, 10, 10), np.uint8)
    subject = cut(rgb, [[40, 20, 120, 20, 120, 100, 40, 100]])
    made, alpha = compose(subject, texture(), 0.7, 0.5, 0)
    assert made.shape[:2] == alpha.shape
    assert (made[alpha == 255] == (250, 10, 10)).all()
    assert (made[alpha == 0][:, 0] < 160).all()
    assert 0.2 < (alpha > 127).mean() < 0.6
    # A pixel of the edge is mixed by exactly its alpha.
    edge = (alpha > 60) & (alpha < 200)
    assert edge.any()
    share = alpha[edge][:, None] / 255
    behind = (made[edge] - share * np.array((250, 10, 10))) / (1 - share)
    assert behind.min() > -4
    assert behind.max() < 180


def test_the_old_background_does_not_show_around_a_subject() -> None:
    rgb = np.full((120, 160, 3), (0, 255, 0), np.uint8)
    rgb[20:101, 40:121] = (250, 10, 10)
    subject = cut(rgb, [[40, 20, 120, 20, 120, 100, 40, 100]], strands=60)
    assert (subject.rgb[subject.alpha > 0] == (250, 10, 10)).all()


def test_a_cut_off_subject_stands_on_the_lower_edge() -> None:
    rgb = texture(120, 160)
    _, standing = compose(cut(rgb, [[40, 40, 120, 40, 120, 119, 40, 119]]), texture(), 0.5, 0.5, 0)
    _, floating = compose(cut(rgb, [[80, 20, 120, 60, 80, 100, 40, 60]]), texture(), 0.5, 0.5, 0)
    assert standing[-1].any()
    assert not floating[-1].any()


def test_own_cut_outs_are_subjects_before_own_photographs(tmp_path: Path) -> None:
    rgb = np.dstack((np.full((200, 300, 3), 200, np.uint8), true_alpha()))
    Image.fromarray(rgb).save(tmp_path / "own.png")
    Image.fromarray(texture()).save(tmp_path / "behind.png")
    (made,) = composites(Photographs(tmp_path), 1)
    assert made.name == "own.png on behind.png"
    assert made.half == half_of("own.png")
    assert 0.1 < (made.alpha > 127).mean() < 0.9


def test_both_halves_have_outlines_within_reason() -> None:
    assert {half_of(name) for name in outlines()} == {"tune", "report"}
    for name, polygons in outlines().items():
        assert all(len(polygon) >= 20 and min(polygon) >= 0 for polygon in polygons), name


def test_the_halves_are_those_of_the_names() -> None:
    assert half_of("gradio_lion.jpg") == "report"
    assert half_of("group1.jpg") == "tune"

"""A folder of one's own photographs: each has a hole in its middle, large ones are made smaller."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.quality_measures.holes import holes
from scripts.quality_measures.photographs import Photographs
from scripts.quality_measures.run import Run
from tests.helpers.fake_models import FakeModels
from tests.scripts.quality.made_pictures import texture


def run(folder: Path, match: str = "") -> Run:
    """A run on a folder."""
    return Run(Photographs(folder), FakeModels(), folder, match=match)


def test_each_own_photograph_has_a_hole_in_its_middle(tmp_path: Path) -> None:
    Image.fromarray(texture(600, 2048)).save(tmp_path / "wide.png")
    Image.fromarray(texture(240, 320)).save(tmp_path / "small.jpg")
    found = {hole.name: hole for hole in holes(run(tmp_path))}
    assert found.keys() == {"wide.png-0", "small.jpg-0"}
    assert found["wide.png-0"].rgb.shape == (300, 1024, 3)
    for hole in found.values():
        rows, columns = hole.mask.nonzero()
        assert rows.mean() == pytest.approx(hole.mask.shape[0] / 2, abs=1.5)
        assert columns.mean() == pytest.approx(hole.mask.shape[1] / 2, abs=1.5)
        assert 0.01 < hole.mask.mean() < 0.05
    assert [hole.name for hole in holes(run(tmp_path, "small"))] == ["small.jpg-0"]


def test_transparent_pixels_stand_on_white(tmp_path: Path) -> None:
    rgba = np.dstack((texture(), np.zeros((240, 320), np.uint8)))
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    assert (Photographs(tmp_path).read("clear.png") == 255).all()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        Photographs(tmp_path / "none")

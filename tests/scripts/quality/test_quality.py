"""A quick run on the photographs of this repository, without packages: every measure finds something."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from models.runtime.pool import Pool
from scripts.quality import BEGIN, END, main
from tests.helpers.places import PHOTOS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool) -> Path:
    """The folder of a run: its page, its values and the pictures to look at."""
    folder = tmp_path_factory.mktemp("quality")
    photos = folder / "photos"
    photos.mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        with Image.open(PHOTOS / f"{name}.jpg") as image:
            image.save(photos / f"scikit_image_{name}.png")
    page = folder / "quality.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    places = {"photos": photos, "into": page, "save": folder / "values.json"}
    places |= {"look": folder / "look", "weights": weights_dir}
    options = [text for name, path in places.items() for text in (f"--{name}", str(path))]
    assert main(["--quick", "--profile", "lite", *options]) == 0
    return folder


def test_the_page_has_a_table_of_each_measure(run: Path) -> None:
    text = (run / "quality.md").read_text()
    assert text.startswith(f"before\n{BEGIN}\n### ")
    assert text.endswith(f"{END}\nafter\n")
    assert len(re.findall("^### ", text, re.MULTILINE)) >= 4


def test_the_values_are_plausible(run: Path) -> None:
    found = json.loads((run / "values.json").read_text())
    matting = found["matting"]["report"]
    assert matting["composites"] >= 2
    assert matting["mean alpha error"] < 0.2
    assert matting["IoU, mean"] > 0.6
    assert found["faces"]["report"]["found"] == found["faces"]["report"]["faces"] == 1
    assert found["holes"]["report"]["faces or logos cloned"] == 0
    assert found["holes"]["report"]["bad fills ranked last"] > 0.8
    enlarged = found["enlarging"]["report"]
    assert enlarged["PSNR, reduced"] > enlarged["PSNR, JPEG 30"] > 15


def test_the_pictures_are_kept_to_look_at(run: Path) -> None:
    kept = {file.name.partition("-")[0] for file in (run / "look").iterdir()}
    assert kept == {"matting", "hole", "enlarged"}


def test_a_page_without_markers_is_refused_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    with pytest.raises(SystemExit):
        main(["--into", str(page)])
    assert "must have" in capsys.readouterr().err

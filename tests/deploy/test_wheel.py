"""The wheel: it has all packages and their data, and its command edits a picture in an empty folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.places import PHOTOS, ROOT

PACKAGES = ("imaging", "models", "pipelines", "retouch", "server", "storage")


def _pip(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, timeout=300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(
            ROOT / name, folder / "src" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "src")
    _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, folder / "src")
    (found,) = folder.glob("retouch-*.whl")
    return found


def test_it_has_every_package_and_its_data(wheel: Path) -> None:
    names = {Path(name) for name in zipfile.ZipFile(wheel).namelist()}
    sources = {
        file.relative_to(ROOT)
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert sources - names == set()
    assert {path.parts[0] for path in names if path.suffix == ".py"} == {*PACKAGES}


def test_its_command_edits_a_picture_in_an_empty_folder(
    wheel: Path, tmp_path: Path, weights_dir: Path, lite: object
) -> None:
    installed, work, home = tmp_path / "installed", tmp_path / "work", tmp_path / "home"
    _pip("install", "--quiet", "--no-deps", "--no-index", "--target", installed, wheel)
    work.mkdir()
    shutil.copy(PHOTOS / "astronaut.jpg", work / "in.jpg")
    (home / "retouch").mkdir(parents=True)
    (home / "retouch" / "weights").symlink_to(weights_dir.absolute())
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    environment = {**inherited, "PYTHONPATH": str(installed), "XDG_DATA_HOME": str(home)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [installed / "bin" / "retouch", *arguments]
        return subprocess.run(
            command, cwd=work, env=environment, capture_output=True, text=True, check=False
        )

    done = run("edit", "remove-background", "in.jpg", "out.png")
    assert done.returncode == 0, done.stderr
    with Image.open(work / "out.png") as image:
        assert (image.mode, image.size) == ("RGBA", (512, 512))
    assert {path.name for path in work.iterdir()} == {"in.jpg", "out.png"}
    code = "import retouch; print(retouch.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", code], cwd=work, env=environment, capture_output=True, text=True
    )
    assert where.stdout.startswith(str(installed))  # not the checkout

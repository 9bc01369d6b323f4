"""What a profile needs: the extras follow from its cards, and nothing is installed to find that out."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from models.catalog.card import Card
from models.catalog.profile import load_profile
from models.catalog.registry import CARDS
from models.catalog.requirements import extras, main, needs_gpu_extra
from models.catalog.source import HubFolder, MadeFolder
from tests.helpers.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LAYERS = {"imaging", "models", "pipelines", "retouch", "server", "storage"}


def import_names(requirements: list[str]) -> set[str]:
    """Return the packages of requirements by the names that Python imports them by."""
    names = {re.split(r"[<>=\[;]", line)[0].replace("-", "_") for line in requirements}
    other = {"opencv_python_headless": "cv2", "pillow": "PIL"}
    other |= {"pypatchmatch": "patchmatch"}
    return {other.get(name, name) for name in names}


BASE = import_names(PROJECT["dependencies"])


@functools.cache
def packages(module: str) -> frozenset[str]:
    """Return the packages that a module of ours imports, also through our other modules."""
    file = ROOT / f"{module.replace('.', '/')}.py"
    if not file.exists():
        file = ROOT / module.replace(".", "/") / "__init__.py"
    if not file.exists():
        return frozenset()  # a name in a module
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            top = name.partition(".")[0]
            found |= packages(name) if top in LAYERS else {top}
    return frozenset(found - set(sys.stdlib_module_names))


def code_of(card: Card) -> set[str]:
    """Return the modules that a card runs: its backend, and the makers of its tiny weights."""
    makers = {folder.module for folder in card.folders if isinstance(folder, MadeFolder)}
    return {card.backend.partition(":")[0], *makers}


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
def test_a_card_needs_the_extra_exactly_if_its_code_imports_it(card: Card) -> None:
    imported = frozenset[str]().union(*map(packages, code_of(card)))
    assert card.torch == bool(imported - BASE), imported - BASE
    fetches_folders = any(isinstance(folder, HubFolder) for folder in card.folders)
    assert needs_gpu_extra(card) == (card.torch or fetches_folders)


def test_the_imports_are_found_through_other_modules() -> None:
    assert "torch" in packages("models.backends.torch.upscaler"), "through its checkpoints"
    assert packages("models.backends.onnx.matting") <= BASE


@pytest.mark.parametrize(
    ("text", "engine", "expected"),
    [
        ('base = "lite"\nmatting = "birefnet-onnx"', "local", []),
        ('inpainting = "cv2-inpaint"', "local", []),
        ('base = "lite"\nmatting = "birefnet"', "local", ["gpu"]),
        ('base = "open"\nmatting = "u2netp"', "ray", ["gpu", "cluster"]),
        ('base = "lite"\nmatting = "rmbg-2-onnx"', "local", ["gpu"]),
        ('matting = "rmbg-2-onnx"\n[cards.rmbg-2-onnx]\npath = "/x"', "local", []),
        ('base = "lite"\ngenerative_fill = "sd15-lcm-fill"', "local", ["gpu"]),
        ('base = "lite"', "ray", ["cluster"]),
    ],
)
def test_the_extras_of_a_profile_of_ones_own(
    text: str, engine: str, expected: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    assert extras(load_profile(str(file)), engine) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("lite", []), ("cpu", [])]
    + [(name, ["gpu"]) for name in ("sdxl", "open", "studio", "bria", "tiny")],
)
def test_the_extras_of_the_built_in_profiles(name: str, expected: list[str]) -> None:
    assert extras(load_profile(name), "local") == expected


def test_settings_are_read_as_the_server_reads_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"retouch_profile": " tiny\r", "RETOUCH_ENGINE": "ray\n"}) == 0
    assert main({"RETOUCH_PROFILE": " \r", "RETOUCH_ENGINE": ""}) == 0
    assert capsys.readouterr().out == "gpu cluster\n\n"
    assert main({"RETOUCH_PROFILE": "absent.toml"}) == 1
    assert capsys.readouterr().err.startswith("weights: profile absent.toml: ")


@pytest.mark.parametrize("module", ["models.catalog.requirements", "server.listener"])
def test_what_runs_before_the_install_needs_only_the_standard_library(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); import {module}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

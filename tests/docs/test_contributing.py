"""The examples of CONTRIBUTING.md: its backend and its operation work when they are added to the sources."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.helpers.contributing_page import FILES, PAGE, block
from tests.helpers.places import ROOT

pytestmark = pytest.mark.slow

COPIED = ("imaging", "models", "pipelines", "server", "storage", "docs/photos", "pyproject.toml")


def insert(file: Path, before: str, text: str) -> None:
    """Insert a text before the first occurrence of another one."""
    source = file.read_text()
    assert before in source, before
    file.write_text(source.replace(before, text + before, 1))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the sources, with the examples added as the page says."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for name in ("helpers", "server/conftest.py", "conftest.py", "models/catalog"):
        source, target = ROOT / "tests" / name, tmp_path / "tests" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    for name, line in FILES.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block(line))
    insert(
        tmp_path / "models/catalog/cards/processor.py",
        '    Card(\n        role=roles.INPAINTING,\n        name="patchmatch"',
        textwrap.indent(block('name="grabcut"').rstrip() + ",\n", 4 * " "),
    )
    routes = tmp_path / "server/v1/__init__.py"
    insert(routes, "    background_remove,\n", "    background_grey,\n")
    insert(routes, "    background_remove.OPERATION,\n", "    background_grey.OPERATION,\n")
    row = '    "/background/grey": _BLUR,\n'
    assert row.strip().rstrip(",") in PAGE
    insert(tmp_path / "server/cost.py", '    "/background/blur": _BLUR,\n', row)
    (tmp_path / "my-profile.toml").write_text(block('matting = "grabcut"'))
    return tmp_path


def run(checkout: Path, *command: str) -> str:
    """Run a command in the copy and return its output; it must succeed."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_tests_of_the_new_backend_and_operation_pass(checkout: Path) -> None:
    tests = [name for name in FILES if name.startswith("tests/")]
    output = run(checkout, "-m", "pytest", "-q", *tests, "tests/models/catalog/test_registry.py")
    assert re.search(r"^\d+ passed", output, re.MULTILINE), output


def test_a_custom_profile_can_use_the_new_backend(checkout: Path) -> None:
    output = run(
        checkout,
        "-c",
        "from models.catalog.profile import load_profile\n"
        "from models.roles import MATTING\n"
        "print(load_profile('my-profile.toml')[MATTING].name)",
    )
    assert output == "grabcut\n"

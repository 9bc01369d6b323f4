"""The virtual environment of each profile and engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

TORCHLESS = 'base = "lite"\nmatting = "birefnet-onnx"\n'


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose scripts/environment only writes down which folder and extras it should make."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copytree(
        ROOT / "models", folder / "models", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "scripts").mkdir()
    for name in ("profile-environment", "common.sh"):
        shutil.copy(ROOT / "scripts" / name, folder / "scripts")
    maker = folder / "scripts" / "environment"
    maker.write_text('#!/bin/sh\necho "$@" >made\n')
    maker.chmod(0o755)
    (folder / "mine.toml").write_text(TORCHLESS)
    (folder / "with torch.toml").write_text('base = "lite"\nmatting = "birefnet"\n')
    return folder


@pytest.mark.parametrize(
    ("settings", "folder", "extras"),
    [
        ({}, ".venv", "-"),
        ({"RETOUCH_PROFILE": "", "RETOUCH_ENGINE": ""}, ".venv", "-"),
        ({"RETOUCH_PROFILE": "lite", "RETOUCH_ENGINE": "local"}, ".venv", "-"),
        ({"RETOUCH_PROFILE": " lite\r", "RETOUCH_ENGINE": "local\r\n"}, ".venv", "-"),
        ({"RETOUCH_PROFILE": "open", "RETOUCH_ENGINE": ""}, ".venv-gpu", "gpu"),
        ({"RETOUCH_PROFILE": "", "RETOUCH_ENGINE": "ray "}, ".venv-cluster", "cluster"),
        ({"RETOUCH_PROFILE": "tiny", "RETOUCH_ENGINE": "ray"}, ".venv-gpu-cluster", "gpu,cluster"),
        ({"RETOUCH_PROFILE": "mine.toml"}, ".venv", "-"),
        ({"RETOUCH_PROFILE": "with torch.toml\r"}, ".venv-gpu", "gpu"),
    ],
)
def test_the_environment_follows_from_the_cards_of_the_profile(
    settings: dict[str, str], folder: str, extras: str, checkout: Path
) -> None:
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    done = subprocess.run(
        [checkout / "scripts" / "profile-environment"],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == (f"{folder}\n", "")
    assert (checkout / "made").read_text() == f"{folder} {extras}\n"

"""The virtual environment of each profile and engine."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT


@pytest.mark.parametrize(
    ("settings", "folder"),
    [
        ({}, ".venv"),
        ({"RETOUCH_PROFILE": "", "RETOUCH_ENGINE": ""}, ".venv"),
        ({"RETOUCH_PROFILE": "lite", "RETOUCH_ENGINE": "local"}, ".venv"),
        ({"RETOUCH_PROFILE": "open", "RETOUCH_ENGINE": ""}, ".venv-gpu"),
        ({"RETOUCH_PROFILE": "", "RETOUCH_ENGINE": "ray"}, ".venv-cluster"),
    ],
)
def test_an_empty_setting_counts_as_unset(
    settings: dict[str, str], folder: str, tmp_path: Path
) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    shutil.copy(ROOT / "scripts" / "profile-environment", scripts)
    maker = scripts / "environment"
    maker.write_text('#!/bin/sh\necho "$1" >made\n')
    maker.chmod(0o755)
    inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
    done = subprocess.run(
        [scripts / "profile-environment"],
        env={**inherited, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{folder}\n"
    assert (tmp_path / "made").read_text() == f"{folder}\n"

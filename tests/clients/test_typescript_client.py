"""A client of openapi-typescript's types, made from docs/openapi.json, edits pictures on a real server."""

import json
import os
import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.openapi import FILE
from tests.helpers.places import PHOTOS
from tests.helpers.server_process import Server

PROJECT = Path(__file__).parent / "typescript"
_TIMEOUT_S = 120


def run(folder: Path, *command: str) -> str:
    """Run a command in a folder; return its output. The test fails if the command does."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the client's folder; without npm the test is skipped, but fails in CI."""
    if shutil.which("npm") is None:
        reason = "no npm on this machine; on Debian: apt install nodejs npm"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return Path(shutil.copytree(PROJECT, tmp_path / "client"))


def test_it_type_checks_and_removes_a_background_and_an_object(
    project: Path, running: Server
) -> None:
    run(project, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
    run(project, "npx", "--no", "openapi-typescript", str(FILE), "--output", "api.d.ts")
    run(project, "npx", "--no", "tsc")
    address = str(running.http.base_url).rstrip("/")
    photograph = PHOTOS / "coffee.jpg"
    found = json.loads(run(project, "node", "client.js", address, "secret-a", str(photograph)))

    removed = Image.open(BytesIO(running.read(found["removed"]).content))
    assert np.asarray(removed.getchannel("A")).min() == 0
    assert running.read(found["masks"]).headers["content-type"] == "application/zip"
    erased = Image.open(BytesIO(running.read(found["erased"]).content)).convert("RGB")
    with Image.open(photograph) as original:
        before = np.asarray(original.convert("RGB")).astype(int)
    assert np.abs(np.asarray(erased).astype(int) - before).max() > 20
    assert found["refused"] == 400

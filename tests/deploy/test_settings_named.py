"""No file of a deployment names a setting that the server does not have."""

import re
from pathlib import Path

import pytest

from server.settings import Settings
from tests.conftest import ROOT
from tests.deploy.files import COMPOSE, COMPOSE_GPU, DOCKERFILE, MANIFESTS

FILES = [
    DOCKERFILE,
    COMPOSE,
    COMPOSE_GPU,
    *MANIFESTS,
    ROOT / ".env.example",
    ROOT / "deploy" / "serve-in-cluster",
    ROOT / "docs" / "deployment.md",
]
OF_THE_MODELS = {"GPU_MEMORY_MB"}
"""What models/runtime/ray/deployments.py reads and the server does not."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path: Path) -> None:
    named = set(re.findall(r"RETOUCH_([A-Z0-9_]+)", path.read_text()))
    known = {name.upper() for name in Settings.model_fields} | OF_THE_MODELS
    assert named <= known, named - known

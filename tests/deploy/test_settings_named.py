"""Every setting in the files of a deployment exists."""

import re
from pathlib import Path

import pytest

from models.settings import known_names
from tests.deploy.files import COMPOSE, COMPOSE_GPU, DOCKERFILE, MANIFESTS
from tests.helpers.places import ROOT

PAGES = ("deployment", "compose", "kubernetes", "proxy", "bucket", "sizing", "gpu-box")
FILES = [
    DOCKERFILE,
    COMPOSE,
    COMPOSE_GPU,
    *MANIFESTS,
    ROOT / ".env.example",
    ROOT / "deploy" / "serve-in-cluster",
    *(ROOT / "docs" / f"{page}.md" for page in PAGES),
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_in_the_file_exists(path: Path) -> None:
    named = set(re.findall(r"RETOUCH_[A-Z0-9_]+", path.read_text()))
    assert named <= known_names(), named - known_names()

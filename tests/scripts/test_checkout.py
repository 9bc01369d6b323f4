"""A checkout on a machine where git converts line ends to CRLF: scripts still start."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.helpers.places import ROOT

TEXTS = ("docker-compose.yml", ".env.example", "README.md", "Dockerfile")


def git(*arguments: str | Path) -> None:
    """Run git with a fixed identity, without the user's settings."""
    who = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *who, *arguments], check=True, timeout=60, capture_output=True)


@pytest.mark.parametrize("attributes", [True, False])
def test_git_adds_no_carriage_return_to_any_text(attributes: bool, tmp_path: Path) -> None:
    source, clone = tmp_path / "source", tmp_path / "clone"
    shutil.copytree(ROOT / "scripts", source / "scripts", ignore=shutil.ignore_patterns("__*"))
    shutil.copytree(ROOT / ".ci", source / ".ci")
    for name in [*TEXTS, *[".gitattributes"] * attributes]:
        shutil.copy(ROOT / name, source)
    git("init", "-q", source)
    git("-C", source, "add", ".")
    git("-C", source, "commit", "-q", "-m", "all")
    git("-c", "core.autocrlf=true", "-c", "core.eol=crlf", "clone", "-q", source, clone)
    scripts = [path for path in (clone / "scripts").iterdir() if path.is_file()]
    assert len(scripts) > 10
    for text in [*scripts, clone / ".ci" / "run", *(clone / name for name in TEXTS)]:
        # Without .gitattributes git does convert the line ends, so this test can fail.
        assert (b"\r\n" in text.read_bytes()) is not attributes, text

"""A copy of the checkout in which the shell blocks of a page run, as in the terminal of a reader."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from PIL import Image

from tests.docs.blocks import Block
from tests.helpers.places import ROOT

_RECORDER = """import json, os, sys
from pathlib import Path
records, name, *arguments = sys.argv[1:]
settings = {n: v for n, v in os.environ.items() if n.startswith(("RETOUCH_", "RAY_"))}
line = json.dumps({"name": name, "arguments": arguments, "environment": settings})
with Path(records).open("a") as file:
    file.write(line + "\\n")
"""
_EDITOR = """#!/bin/sh
# Stands in for a person at an editor: fills in every value that a settings file or a Secret leaves empty.
sed -e 's/^\\([A-Z0-9_]*\\)=$/\\1=filled0in/' -e 's/: ""/: "filled0in"/' "$1" >"$1.filled" && mv "$1.filled" "$1"
"""
_TIMEOUT_S = 600
"""Timeout of all blocks of a page together, on a machine that other tests keep busy."""


@dataclass(frozen=True)
class Call:
    """A command that was recorded instead of run: its name, and the settings in its environment."""

    name: str
    arguments: list[str]
    environment: dict[str, str]

    def __str__(self) -> str:
        return " ".join([self.name, *self.arguments])


class Checkout:
    """What a clone has, and the environments that the scripts would make: that of the tests."""

    def __init__(self, folder: Path, weights_dir: Path) -> None:
        self.root = folder / "retouch"
        self._home, self._programs = folder / "home", folder / "bin"
        self._records = folder / "records"
        for made in (self.root / "docs", self.root / "data", self._home, self._programs):
            made.mkdir(parents=True)
        for entry in ROOT.iterdir():
            if entry.is_file():
                shutil.copy(entry, self.root)
            elif entry.name not in ("scripts", "docs", "deploy", "data") and entry.name[0] != ".":
                (self.root / entry.name).symlink_to(entry)
        # Not links: scripts look for their folder behind links, and blocks may write here.
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("scripts", "docs/photos", "deploy"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        (self.root / ".venv").symlink_to(sys.prefix)
        (self.root / "data" / "weights").symlink_to(weights_dir.absolute())
        # What installs packages; tests/scripts/test_environment.py tests it.
        (self.root / "scripts" / "environment").write_text("#!/bin/sh\nexit 0\n")

    def replace(self, commands: Iterable[str]) -> None:
        """Let commands be recorded instead of run.

        A command is the name of a program or its path in the checkout, and perhaps its first argument; then
        the program runs with any other.
        """
        by_program: dict[str, list[str]] = defaultdict(list)
        for command in commands:
            program, _, first = command.partition(" ")
            by_program[program].append(first or "*")
        recorder = self._programs / "record.py"
        recorder.write_text(_RECORDER)
        for program, firsts in by_program.items():
            path = (self.root if "/" in program else self._programs) / program
            path.parent.mkdir(parents=True, exist_ok=True)
            real = path.with_name(f"{path.name}.real")
            if path.exists():
                path.rename(real)
            path.write_text(
                f'#!/bin/sh\ncase "${{1-}}" in {" | ".join(firsts)}) ;;\n*) exec "{real}" "$@" ;;\nesac\n'
                f'exec "{sys.executable}" -S -E "{recorder}" "{self._records}" "{program}" "$@"\n'
            )
            path.chmod(0o755)
        editor = self._programs / "fill-in"
        editor.write_text(_EDITOR)
        editor.chmod(0o755)

    def run(self, shell: str, blocks: Iterable[Block], address: str) -> str:
        """Run blocks in one session of a shell and return its output; the first failure ends it.

        address: that of the server, which the blocks call at its usual port. curl fails where an answer is
        an error.
        """
        parts = urlsplit(address)
        (self._home / ".curlrc").write_text(
            f'connect-to = "127.0.0.1:8000:{parts.hostname}:{parts.port}"\nfail\nshow-error\n'
        )
        script = "\n".join(f"echo '--- {block}'\n{block.text}" for block in blocks)
        inherited = {n: v for n, v in os.environ.items() if not n.startswith(("RETOUCH_", "RAY_"))}
        environment = {
            **inherited,
            "HOME": str(self._home),
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "EDITOR": str(self._programs / "fill-in"),
            "RETOUCH_PYTHON": sys.executable,
        }
        done = subprocess.run(
            [shell, "-eu", "-c", script],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def recorded(self) -> list[Call]:
        """Return the commands that were recorded, in their order."""
        if not self._records.exists():
            return []
        return [Call(**json.loads(line)) for line in self._records.read_text().splitlines()]

    def made(self) -> dict[str, str]:
        """Return what kind each picture, archive and document is that the blocks have left, by its name.

        Each is read to its end: a page of an error that was saved as a picture is found.
        """
        kinds = {}
        for file in self.root.iterdir():
            if file.is_file() and not (ROOT / file.name).exists() and file.name[0] != ".":
                kinds[file.name] = _kind(file)
        return kinds


def _kind(file: Path) -> str:
    """Return the format of a file, which must be that of its suffix."""
    if file.suffix in (".png", ".jpg", ".jpeg", ".webp"):
        with Image.open(file) as image:
            image.load()
            assert image.format == {".jpg": "JPEG"}.get(file.suffix, file.suffix[1:].upper()), file
            return str(image.format)
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            assert archive.namelist(), file
            assert archive.testzip() is None, file
        return "ZIP"
    if file.suffix == ".psd":
        assert file.read_bytes().startswith(b"8BPS"), file
        return "PSD"
    if file.suffix == ".txt":
        assert file.read_text().strip(), file
        return "text"
    assert file.suffix == ".json", f"{file.name}: say in tests/docs/checkout.py how to read it"
    json.loads(file.read_text())
    return "JSON"

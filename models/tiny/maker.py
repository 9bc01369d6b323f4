"""Makes the tiny models of profile `tiny`: real classes, random weights, in hub layout."""

import hashlib
import importlib
import shutil
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from models.catalog.source import MadeFolder

_STAMP = ".made-from"
_LIBRARIES = ("torch", "transformers", "diffusers", "onnx")


def make(part: MadeFolder, folder: Path) -> None:
    """Make a tiny model in `folder`, unless it is there, made by the same code and libraries.

    It appears whole or not at all, also when two processes make it at once.
    """
    models = Path(__file__).parents[1]
    folders = (models / "tiny", models / "backends" / "torch", models / "backends" / "diffusion")
    modules = [module for folder in folders for module in sorted(folder.glob("*.py"))]
    code = b"".join(module.read_bytes() for module in modules)
    libraries = " ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    stamp = f"{hashlib.sha256(code).hexdigest()} {libraries}\n"
    if _stamp(folder) == stamp:
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        making.mkdir()
        getattr(importlib.import_module(part.module), part.maker)(making)
        (making / _STAMP).write_text(stamp)
        if folder.exists():
            folder.rename(making.with_name(making.name + ".old"))
        try:
            making.rename(folder)
        except OSError:
            if _stamp(folder) != stamp:  # else another process was first
                raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(making.with_name(making.name + ".old"), ignore_errors=True)


def _stamp(folder: Path) -> str | None:
    try:
        return (folder / _STAMP).read_text()
    except FileNotFoundError:
        return None

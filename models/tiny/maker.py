"""The maker of profile `tiny`'s models: it runs their functions, and repeats that when code has changed."""

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
    """Make a tiny model in `folder`, unless the same code and libraries have made it already.

    The folder is written atomically, also if two processes do it at the same time.
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
    temporary = folder.with_name(f".{folder.name}.{uuid4().hex}")
    try:
        temporary.mkdir()
        getattr(importlib.import_module(part.module), part.maker)(temporary)
        (temporary / _STAMP).write_text(stamp)
        if folder.exists():
            folder.rename(temporary.with_name(temporary.name + ".old"))
        try:
            temporary.rename(folder)
        except OSError:
            if _stamp(folder) != stamp:  # else another process has made it first
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary.with_name(temporary.name + ".old"), ignore_errors=True)


def _stamp(folder: Path) -> str | None:
    try:
        return (folder / _STAMP).read_text()
    except FileNotFoundError:
        return None

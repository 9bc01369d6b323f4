"""Which file of a folder a backend loads."""

from pathlib import Path

_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx"}


def only_file(path: Path) -> Path:
    """Return the one weight file of a folder, or the path itself where it is no folder.

    Raises ValueError where a folder holds none or several.
    """
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in _WEIGHTS)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise ValueError(f"{path} should hold one weight file: {names}")
    return found[0]

"""The choice of the weight file in a folder."""

from pathlib import Path

_WEIGHTS = {".safetensors", ".pt", ".pth", ".onnx"}


def only_file(path: Path) -> Path:
    """Return the one weight file of a folder. If `path` is not a folder, return `path` itself.

    Raises ValueError if a folder has no weight file or several.
    """
    if not path.is_dir():
        return path
    files = sorted(file for file in path.iterdir() if file.suffix in _WEIGHTS)
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise ValueError(f"{path} should hold one weight file: {names}")
    return files[0]

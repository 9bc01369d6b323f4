"""Weight files: the choice of the one in a folder, and the check that a file holds content."""

from pathlib import Path

from models.errors import BadWeightsError

_POINTER = b"version https://git-lfs"
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


def check_file(file: Path) -> None:
    """Raise BadWeightsError if `file` is missing, empty, or a Git LFS pointer instead of the content."""
    if not file.is_file():
        raise BadWeightsError(f"{file} is missing")
    with file.open("rb") as stream:
        start = stream.read(len(_POINTER))
    if not start:
        raise BadWeightsError(f"{file} is empty")
    if start == _POINTER:
        raise BadWeightsError(
            f"{file} is a Git LFS pointer, not the weights: fetch them with git lfs"
        )


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or the name of its class if the text is empty."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]

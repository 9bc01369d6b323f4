"""Compares results with the stored ones, or replaces the stored ones."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from scripts.result_differences import Difference, differences
from scripts.route_calls import Call, Recorder, picture

GOLDEN = Path(__file__).parent
MEAN, WORST = 0.5, 8
"""Largest allowed difference of pictures, in levels: processors round differently."""
_EXACT = {"json", "zip"}


def check(
    client: TestClient, calls: Iterable[Sequence[Call]], stored: Path, folder: Path, renew: bool
) -> None:
    """Make the calls and compare the results with the folder `stored`; with `renew` replace its files.

    folder: an empty folder of the test.
    """
    recorder = Recorder(client, folder, _picture)
    for sequence in calls:
        recorder.record(sequence)
    if renew:
        _store(folder, stored)
        pytest.skip(f"{stored} is renewed")
    names = {path.name for path in stored.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    wrong = [
        f"{name}: {text}" for name in sorted(names) for text in _differences(stored, folder, name)
    ]
    assert not wrong, "\n".join(wrong)


def _picture(name: str) -> bytes:
    """Return a picture to send; it is stored because ids depend on its bytes, and these on the encoder."""
    path = GOLDEN / "sent" / name.replace(":", "_").replace("@", "_")
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(name))
    return path.read_bytes()


def _differences(stored: Path, folder: Path, name: str) -> Iterator[str]:
    extension = name.rpartition(".")[2]
    before, now = ((place / name).read_bytes() for place in (stored, folder))
    for found in differences(extension, before, now):
        if not _is_tolerated(found, extension in _EXACT):
            yield str(found)


def _is_tolerated(found: Difference, exact: bool) -> bool:
    if found.mean is None or found.worst is None:
        return False
    return found.worst == 0 or (not exact and found.mean <= MEAN and found.worst <= WORST)


def _store(folder: Path, stored: Path) -> None:
    shutil.rmtree(stored, ignore_errors=True)
    shutil.copytree(folder, stored)
    for path in stored.glob("*.png"):
        stream = BytesIO()
        Image.open(path).save(stream, "PNG", optimize=True)
        path.write_bytes(stream.getvalue())

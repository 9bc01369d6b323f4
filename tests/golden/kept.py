"""Whether results are what they were: held against those that are kept, or kept in their stead."""

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
"""Most that a picture may differ by, in levels: kernels round differently from processor to processor."""
_EXACT = {"json", "zip"}


def check(
    client: TestClient, calls: Iterable[Sequence[Call]], kept: Path, folder: Path, renew: bool
) -> None:
    """Make the calls and compare with the folder `kept`; with `renew` its files are replaced.

    folder: an empty one of the test's own.
    """
    recorder = Recorder(client, folder, _picture)
    for sequence in calls:
        recorder.record(sequence)
    if renew:
        _keep(folder, kept)
        pytest.skip(f"{kept} is renewed")
    names = {path.name for path in kept.iterdir()}
    assert {path.name for path in folder.iterdir()} == names
    wrong = [f"{name}: {text}" for name in sorted(names) for text in _wrong(kept, folder, name)]
    assert not wrong, "\n".join(wrong)


def _picture(name: str) -> bytes:
    """Return a picture that is sent; kept too, as ids come of its bytes, and those of its encoder."""
    path = GOLDEN / "sent" / name.replace(":", "_").replace("@", "_")
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(picture(name))
    return path.read_bytes()


def _wrong(kept: Path, folder: Path, name: str) -> Iterator[str]:
    extension = name.rpartition(".")[2]
    before, now = ((place / name).read_bytes() for place in (kept, folder))
    for found in differences(extension, before, now):
        if not _is_tolerated(found, extension in _EXACT):
            yield str(found)


def _is_tolerated(found: Difference, exact: bool) -> bool:
    if found.mean is None or found.worst is None:
        return False
    return found.worst == 0 or (not exact and found.mean <= MEAN and found.worst <= WORST)


def _keep(folder: Path, kept: Path) -> None:
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(folder, kept)
    for path in kept.glob("*.png"):
        stream = BytesIO()
        Image.open(path).save(stream, "PNG", optimize=True)
        path.write_bytes(stream.getvalue())

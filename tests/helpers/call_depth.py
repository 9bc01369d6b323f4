"""Counts the frames and files of our own code between a pipeline and its model's method."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from starlette.testclient import TestClient

from tests.helpers.program import TOKEN, real_app

ROOT = Path(__file__).resolve().parents[2]
_METHOD = "matte"
"""The method of the matting role; a background removal calls it once."""
_SETTLE_S = 0.1
"""Time for the pipeline's thread to reach its wait, where another thread makes the call."""


@dataclass(frozen=True)
class Calls:
    """The frames from the pipeline to its model, both included, each as (file, function)."""

    frames: tuple[tuple[str, str], ...]

    @property
    def files(self) -> set[str]:
        """The files of these frames."""
        return {file for file, _ in self.frames}

    def __str__(self) -> str:
        """Return one line for each frame, the pipeline first."""
        return "\n".join(f"{file}: {function}" for file, function in self.frames)


def traced_matting(
    picture: bytes, profile: str, data_dir: Path, weights_dir: Path | None = None
) -> Calls:
    """Return the calls of one background/remove request; folders as in `real_app`."""
    with _traced() as found:
        app = real_app(profile, data_dir, weights_dir)
        with TestClient(app, headers=TOKEN) as client:
            answer = client.post("/v1/background/remove", files={"file": picture})
    assert answer.status_code == 200, answer.text
    # A layer in between may have a method of the same name; the model's has the deepest stack.
    return max(found, key=lambda calls: len(calls.frames))


@contextmanager
def _traced() -> Iterator[list[Calls]]:
    """Yield a list that collects calls of matting methods on threads started in this context."""
    found: list[Calls] = []

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_name == _METHOD:
            own = _own_frames(frame)
            if own and own[-1][0].startswith("models/"):
                found.append(Calls(tuple(_from_pipeline(own))))

    threading.setprofile(look)
    try:
        yield found
    finally:
        threading.setprofile(None)


def _from_pipeline(own: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Drop the frames above the pipeline; if it waits on another thread, put its frames first."""
    if not any(map(_is_pipeline, own)):
        time.sleep(_SETTLE_S)
        stacks = [_own_frames(frame) for frame in sys._current_frames().values()]
        (waiting,) = (stack for stack in stacks if any(map(_is_pipeline, stack)))
        own = [*waiting, *own]
    last = max(index for index, frame in enumerate(own) if _is_pipeline(frame))
    return own[last:]


def _is_pipeline(frame: tuple[str, str]) -> bool:
    return frame[0].startswith("pipelines/")


def _own_frames(frame: FrameType | None) -> list[tuple[str, str]]:
    """Return the frames of a stack that belong to our own code, outermost first."""
    own = []
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ROOT) and "site-packages" not in file.parts:
            own.append((str(file.relative_to(ROOT)), frame.f_code.co_qualname))
        frame = frame.f_back
    return own[::-1]

"""Few of our own frames lie between a pipeline and a torch model, which is retried if memory runs out."""

from pathlib import Path

from scripts.route_calls import picture
from tests.helpers.call_depth import traced_matting

FRAMES, FILES = 6, 4
"""Our own frames and files from the pipeline to its model, both included, of a call that is made whole on the
device's thread: one layer more than before decision 38, which decides what of a call needs the device."""


def test_few_frames_and_files_lie_between_pipeline_and_model(tmp_path: Path) -> None:
    calls = traced_matting(picture("chelsea"), "tiny", tmp_path)
    assert len(calls.frames) <= FRAMES, str(calls)
    assert len(calls.files) <= FILES, str(calls)

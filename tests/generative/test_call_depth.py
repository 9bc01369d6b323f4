"""A torch model, which is tried once more when memory runs out, is a few steps from its pipeline too."""

from pathlib import Path

from scripts.route_calls import picture
from tests.helpers.call_depth import traced_matting

FRAMES, FILES = 4, 3
"""Of our own from a pipeline's to its model's, both included."""


def test_few_frames_and_files_lie_between_pipeline_and_model(tmp_path: Path) -> None:
    calls = traced_matting(picture("chelsea"), "tiny", tmp_path)
    assert len(calls.frames) <= FRAMES, str(calls)
    assert len(calls.files) <= FILES, str(calls)

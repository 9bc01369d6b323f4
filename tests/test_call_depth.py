"""A model is a few steps from the pipeline that calls it; see tests/generative/test_call_depth.py too."""

from pathlib import Path

from scripts.route_calls import picture
from tests.helpers.call_depth import traced_matting

FRAMES, FILES = 2, 2
"""Of our own from a pipeline's to its model's, both included."""


def test_few_frames_and_files_lie_between_pipeline_and_model(
    tmp_path: Path, weights_dir: Path
) -> None:
    calls = traced_matting(picture("chelsea"), "lite", tmp_path, weights_dir)
    assert len(calls.frames) <= FRAMES, str(calls)
    assert len(calls.files) <= FILES, str(calls)

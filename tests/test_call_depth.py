"""Few of our own frames lie between pipeline and model; see also tests/generative/test_call_depth.py."""

from pathlib import Path

from scripts.route_calls import picture
from tests.helpers.call_depth import traced_matting

FRAMES, FILES = 2, 2
"""Our own frames and files from the pipeline to its model, both included."""


def test_few_frames_and_files_lie_between_pipeline_and_model(
    tmp_path: Path, weights_dir: Path
) -> None:
    calls = traced_matting(picture("chelsea"), "lite", tmp_path, weights_dir)
    assert len(calls.frames) <= FRAMES, str(calls)
    assert len(calls.files) <= FILES, str(calls)

"""Runs the matting measure: this project's cut-outs, and rembg's on the same files."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from imaging.picture import Matte, Picture, Rgb
from models.roles import Models
from pipelines.background_remove import background_remove
from pipelines.errors import NoForegroundError
from scripts.quality_measures.composites import Composite, composites
from scripts.quality_measures.figures import Values
from scripts.quality_measures.matting import MatteErrors, matte_errors, summary
from scripts.quality_measures.photographs import HALVES, Half
from scripts.quality_measures.run import Run

_RUNNER = Path(__file__).with_name("rembg_masks.py")


def measure_matting(run: Run) -> dict[Half, Values]:
    """Return the errors of background/remove on composites, and rembg's beside them."""
    every = composites(run.photos, 1 if run.quick else 3)
    made = [one for one in every if run.wants(one.name, one.half)]
    mattes = [found_alpha(one.rgb, run.models) for one in made]
    errors = [matte_errors(matte, one.alpha) for matte, one in zip(mattes, made, strict=True)]
    values = matting_values(made, errors)
    for one, error in zip(made, errors, strict=True):
        print(
            f"  {one.half:6} {error.error:.4f} IoU {error.iou:.3f} see-through {error.see_through:.3f}"
            f"  {one.name}",
            file=sys.stderr,
        )
    if run.look is not None:
        for number, (one, matte) in enumerate(zip(made, mattes, strict=True)):
            _keep(run.look / f"matting-{one.half}-{number:02}.jpg", one, matte)
    if run.rembg is not None:
        theirs = matting_values(made, rembg_errors(made, run.rembg, run.weights), "rembg: ")
        for half, its in theirs.items():
            values[half].update(its)
    return values


def _keep(file: Path, composite: Composite, matte: Matte) -> None:
    """Save a composite, what was cut out of it on magenta, and the difference of alpha."""
    share = matte[..., None] / np.float32(255)
    loud = composite.rgb * share + np.array((255, 0, 255), np.float32) * (1 - share)
    wrong = cv2.absdiff(matte, composite.alpha)
    panels = (composite.rgb, loud.astype(np.uint8), np.repeat(wrong[..., None], 3, 2))
    cv2.imwrite(str(file), np.hstack(panels)[..., ::-1])


def found_alpha(rgb: Rgb, models: Models) -> Matte:
    """Return the alpha of background/remove; empty where it answers that there is no subject."""
    try:
        alpha = background_remove(Picture(rgb), models).alpha
    except NoForegroundError:
        alpha = np.zeros(rgb.shape[:2], np.uint8)
    if alpha is None:
        raise ValueError("background/remove returned a picture without alpha")
    return alpha


def matting_values(
    made: Sequence[Composite], errors: Sequence[MatteErrors], by: str = ""
) -> dict[Half, Values]:
    """Return the values of each half. by: who made the mattes, put in front of each name."""
    values: dict[Half, Values] = {}
    for half in HALVES:
        its = [one for composite, one in zip(made, errors, strict=True) if composite.half == half]
        if its:
            found = summary(its)
            values[half] = {
                f"{by}composites": found.count,
                f"{by}mean alpha error": found.error,
                f"{by}median alpha error": found.median_error,
                f"{by}IoU, mean": found.iou,
                f"{by}IoU, worst": found.worst_iou,
                f"{by}see-through inside": found.see_through,
            }
    return values


def rembg_errors(made: Sequence[Composite], python: Path, weights: Path) -> list[MatteErrors]:
    """Return the errors of rembg's mattes. python: of its environment. weights: a folder with u2netp.onnx."""
    with tempfile.TemporaryDirectory() as source, tempfile.TemporaryDirectory() as target:
        for number, composite in enumerate(made):
            cv2.imwrite(f"{source}/{number}.png", composite.rgb[..., ::-1])
        subprocess.run(  # noqa: S603 - the environment that scripts/quality has made
            [python, _RUNNER, source, target],
            check=True,
            env={**os.environ, "U2NET_HOME": str(weights), "MODEL_CHECKSUM_DISABLED": "1"},
        )
        return [
            matte_errors(_grey(f"{target}/{number}.png"), one.alpha)
            for number, one in enumerate(made)
        ]


def _grey(file: str) -> Matte:
    """Return a grey picture of a file."""
    return np.asarray(cv2.imread(file, cv2.IMREAD_GRAYSCALE), np.uint8)

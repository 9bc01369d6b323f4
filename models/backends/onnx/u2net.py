"""The matting model of profile `lite`: U2-Net-p on the CPU, its matte refined to full size."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from imaging.guided_matting import refine
from imaging.picture import Matte, Rgb
from imaging.resize import shrink
from models.backends.onnx.rewritten_cache import rewritten_network
from models.backends.onnx.sessions import Sessions
from models.device import DeviceConfig

Float = NDArray[np.float32]
Box = tuple[slice, slice]

_SIDE = 320
"""Side of the square the network was trained at (Qin et al. 2020, "U^2-Net")."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)

_SMALL_SUBJECT = 0.25
"""Share of the picture under which a subject's surroundings are worth a second look."""
_LOOK_MARGIN = 0.2
_KEPT, _GROWN = 0.88, 2.0
"""A second look is believed when it keeps this share of the subject and no more than doubles it."""

_PATCH = 9
"""Side, in coarse pixels, of the patch by whose mean a blob is judged: grass blades do not pass."""
_FAINT, _SOLID = 0.07, 0.2
"""Within an uncertain subject, what is below the one is background, above the other opaque."""
_NOTHING, _SUBJECT, _DOUBTED, _CERTAIN = 0.55, 0.7, 0.85, 0.95
"""Means of a blob's surest patch: under the first it is left faint, over the last it is left as it
is, and between the two inner ones it is made solid."""


class U2Net:
    """Fulfils the role `models.roles.Matting`.

    The network's 320x320 answer is never stretched to its own range (a picture without a subject
    must stay empty): subjects that it sees without being sure are made solid one by one, then the
    matte is refined at the edges by the picture's own colours.
    """

    def __init__(self, weights: Path, threads: int = 1) -> None:
        """Load `weights` (u2netp.onnx); each call computes on `threads` threads."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A planned pattern keeps a second block of 150 MB per parallel call, without being faster.
        options.enable_mem_pattern = False
        # onnxruntime warns of every constant that the rewriting made superfluous.
        options.log_severity_level = 3
        network = rewritten_network(weights)
        # A session keeps some 260 MB.
        self._sessions = Sessions(
            lambda: ort.InferenceSession(network, options, providers=["CPUExecutionProvider"]),
            most=max(1, (os.cpu_count() or 1) // threads),
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: u2netp.onnx."""
        return cls(paths[0], threads=1)  # requests run side by side, one thread each

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        coarse = self._look(rgb)
        box = _surroundings(coarse, rgb.shape[0], rgb.shape[1])
        if box is not None:
            closer = self._look(rgb[box])
            first = _cut(coarse, box, rgb.shape[0], rgb.shape[1])
            if _confirms(closer, first) and not _runs_out(closer, box, rgb.shape[0], rgb.shape[1]):
                alpha = np.zeros(rgb.shape[:2], np.uint8)
                alpha[box] = refine(rgb[box], closer)
                return alpha
        return refine(rgb, coarse)

    def _look(self, rgb: Rgb) -> Float:
        """Run the network: the coarse matte, 320 x 320, 0..1, its subjects solid."""
        small = shrink(rgb, _SIDE, _SIDE)
        tensor = ((small.astype(np.float32) / 255 - _MEAN) / _STD).transpose(2, 0, 1)[None]
        with self._sessions.lend() as session:
            (given,), (made,) = session.get_inputs(), session.get_outputs()
            (matte,) = session.run([made.name], {given.name: np.ascontiguousarray(tensor)})
        return solidify(np.clip(np.asarray(matte[0, 0], np.float32), 0, 1))


def solidify(coarse: Float) -> Float:
    """Make opaque, in a coarse matte (0..1), the blobs seen as subjects without certainty.

    The network's doubt whether a thing is the subject lowers its whole matte, which is no
    transparency. A blob's surest patch tells such doubt from noise and from certain softness: both
    are left as they are, with ramps between, so that alike pictures get alike mattes.
    """
    blobs, labels = cv2.connectedComponents((coarse > _FAINT).astype(np.uint8))
    means = np.asarray(cv2.blur(coarse, (_PATCH, _PATCH), borderType=cv2.BORDER_REFLECT))
    high = (means > _NOTHING) & (labels > 0)
    surest = np.zeros(blobs, np.float32)
    np.maximum.at(surest, np.asarray(labels[high], np.intp), means[high])
    share = np.interp(surest, (_NOTHING, _SUBJECT, _DOUBTED, _CERTAIN), (0, 1, 1, 0))
    if not share.any():
        return coarse
    solid = np.clip((coarse - _FAINT) / (_SOLID - _FAINT), 0, 1)
    return np.asarray(coarse + share.astype(np.float32)[labels] * (solid - coarse), np.float32)


def _surroundings(coarse: Float, height: int, width: int) -> Box | None:
    """Return the frame of a subject that is small in its picture, with a margin."""
    subject = coarse > 0.5
    if max(height, width) <= _SIDE or not subject.any():
        return None
    rows, columns = np.flatnonzero(subject.any(1)), np.flatnonzero(subject.any(0))
    y, x = height / _SIDE, width / _SIDE
    top, bottom, left, right = (
        rows[0] * y,
        (rows[-1] + 1) * y,
        columns[0] * x,
        (columns[-1] + 1) * x,
    )
    margin = _LOOK_MARGIN * max(bottom - top, right - left)
    ys = slice(max(0, int(top - margin)), min(height, int(bottom + margin) + 1))
    xs = slice(max(0, int(left - margin)), min(width, int(right + margin) + 1))
    share = (ys.stop - ys.start) * (xs.stop - xs.start) / (height * width)
    return (ys, xs) if share <= _SMALL_SUBJECT else None


def _cut(coarse: Float, box: Box, height: int, width: int) -> Float:
    """Return the part of a coarse matte that lies in `box`, at the coarse size."""
    ys, xs = (
        slice(part.start * _SIDE // side, -(-part.stop * _SIDE // side))
        for part, side in zip(box, (height, width), strict=True)
    )
    return np.asarray(cv2.resize(coarse[ys, xs], (_SIDE, _SIDE)), np.float32)


def _confirms(closer: Float, first: Float) -> bool:
    """Whether a second look sees the subject of the first, and little else."""
    before, after = first > 0.5, closer > 0.5
    kept = int(np.count_nonzero(before & after))
    return bool(_KEPT * np.count_nonzero(before) <= kept >= np.count_nonzero(after) / _GROWN)


def _runs_out(closer: Float, box: Box, height: int, width: int) -> bool:
    """Whether the subject is cut by a side of `box` that is not a side of the picture."""
    ys, xs = box
    sides = (
        (ys.start > 0, closer[0]),
        (ys.stop < height, closer[-1]),
        (xs.start > 0, closer[:, 0]),
        (xs.stop < width, closer[:, -1]),
    )
    return any(inside and bool((side > 0.5).any()) for inside, side in sides)

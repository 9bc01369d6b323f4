"""The matting model of profile `lite`: U2-Net-p on the CPU, with matte refinement at full size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from PIL import Image

from imaging.guided_matting import refine
from imaging.picture import Matte, Rgb
from imaging.resize import shrink
from imaging.solid_interior import solid_interior, unsure_share
from models.backends.onnx.rewritten_cache import rewritten_network
from models.backends.onnx.sessions import Sessions
from models.device import DeviceConfig
from models.processors import usable_processors

Float = NDArray[np.float32]
Box = tuple[slice, slice]

_SIDE = 320
"""Side, in pixels, of the square that the network was trained with (Qin et al. 2020, "U^2-Net")."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)

_WHITE = 255
_UNSURE = 0.03
"""The network sees a picture again if a larger share of its matte is unsure (`unsure_share`)."""

_AVERAGED = 3
"""A picture with sides above this many times the network's is averaged to it before the Lanczos filter."""
_FOUND = 0.5
"""A matte that is lower everywhere has found no subject."""

_SMALL_SUBJECT = 0.25
"""The network runs a second time, on a crop, if the subject with its margin covers at most this share."""
_CROP_MARGIN = 0.2
"""Margin of that crop, as a share of the subject's longer side."""
_CONFIRMED, _GROWN = 0.88, 2.0
"""The result of the crop is used if it contains at least this share of the first subject, and is at
most this many times as large."""

_PATCH = 9
"""Side, in coarse pixels, of the patch with the mean that classifies a blob: blades of grass are thinner."""
_FAINT, _SOLID = 0.07, 0.2
"""In an uncertain subject, alpha below the first becomes background, above the second opaque."""
_NOTHING, _SUBJECT, _DOUBTED, _CERTAIN = 0.55, 0.7, 0.85, 0.95
"""Limits for the highest patch mean of a blob. Below the first and above the last, the blob stays
unchanged. Between the two middle ones, it becomes solid. In the ranges in between, it becomes
partly solid."""


class U2Net:
    """Implements the role `models.roles.Matting`.

    The network's 320 x 320 matte is never stretched to 0..1, because a picture without a subject
    must stay empty. Instead each uncertain subject is made solid. Then the edges are refined with
    the picture's colours.
    """

    def __init__(self, weights: Path, threads: int = 1) -> None:
        """Load `weights` (u2netp.onnx). threads: CPU threads of one call."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # A memory pattern keeps 150 MB more per parallel call and is no faster.
        options.enable_mem_pattern = False
        # Only errors: onnxruntime warns about every constant that the rewriting has made unused.
        options.log_severity_level = 3
        network = rewritten_network(weights)
        # A session keeps about 260 MB.
        self._sessions = Sessions(
            lambda: ort.InferenceSession(network, options, providers=["CPUExecutionProvider"]),
            limit=max(1, usable_processors() // threads),
        )

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig) -> Self:
        """Load the model of a card; paths: u2netp.onnx."""
        return cls(paths[0], threads=1)  # requests run in parallel, each on one thread

    def matte(self, rgb: Rgb) -> Matte:
        """Return the subject's opacity, uint8 0..255, at the size of `rgb` (uint8, H x W x 3)."""
        coarse = self._coarse(rgb)
        box = _small_subject(coarse, rgb.shape[0], rgb.shape[1])
        if box is not None:
            closer = self._coarse(rgb[box])
            first = _crop(coarse, box, rgb.shape[0], rgb.shape[1])
            if _confirms(closer, first) and not _is_cut(closer, box, rgb.shape[0], rgb.shape[1]):
                alpha = np.zeros(rgb.shape[:2], np.uint8)
                alpha[box] = refine(rgb[box], closer)
                return alpha
        return refine(rgb, coarse)

    def _coarse(self, rgb: Rgb) -> Float:
        """Return the coarse matte, 320 x 320, 0..1, with solid subjects.

        As in training, 1 is the picture's own highest level (`ToTensorLab` in data_loader.py of
        xuebinqin/U-2-Net): with 255 in its place, the subject of a dark photograph was lost.

        If the network is unsure or finds nothing, it sees the picture again, mirrored, reduced with
        another filter and with 255 as 1 (test-time augmentation). It is unstable rather than
        ignorant: one of the two answers is often sure, so the higher one counts in each pixel. On 84
        composites of known alpha and 63 photographs, with 255 as 1 in both, this was as good as the
        second-highest of four answers, at a third of the extra cost. The Lanczos filter comes first
        because the network errs less on it.
        """
        small = _lanczos(rgb)
        matte = self._run(small, max(1, int(small.max())))
        if unsure_share(matte) > _UNSURE or matte.max() < _FOUND:
            mirrored = shrink(rgb, _SIDE, _SIDE)[:, ::-1]
            matte = np.maximum(matte, self._run(mirrored, _WHITE)[:, ::-1])
        return solid_interior(solidify(matte))

    def _run(self, picture: Rgb, white: int) -> Float:
        """Return the network's answer, 320 x 320, 0..1, for a picture of that size; see `network_input`."""
        tensor = network_input(picture, white)
        with self._sessions.use() as session:
            (source,), (output,) = session.get_inputs(), session.get_outputs()
            (matte,) = session.run([output.name], {source.name: tensor})
        return np.clip(np.asarray(matte[0, 0], np.float32), 0, 1)


def network_input(picture: Rgb, white: int) -> Float:
    """Return the network's input, 1 x 3 x height x width, float32: RGB, normalised with ImageNet's figures.

    white: the level, 1..255, that counts as 1.
    """
    values = picture.astype(np.float32) / white
    return np.ascontiguousarray(((values - _MEAN) / _STD).transpose(2, 0, 1)[None])


def _lanczos(rgb: Rgb) -> Rgb:
    """Return `rgb` at 320 x 320, reduced with the Lanczos filter; averaged first if it is large."""
    height, width = rgb.shape[:2]
    if min(height, width) > _AVERAGED * _SIDE:
        rgb = shrink(rgb, _AVERAGED * _SIDE, _AVERAGED * _SIDE)  # a third of the time
    small = Image.fromarray(rgb).resize((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8)


def solidify(coarse: Float) -> Float:
    """Make uncertain subjects in a coarse matte (height x width, 0..1) opaque.

    If the network is not certain that an object is the subject, the object's whole matte is low.
    That is not transparency. The highest patch mean of a blob distinguishes this from noise and
    from truly soft parts, which stay unchanged. The limits are ramps, so that similar pictures get
    similar mattes.
    """
    blobs, labels = cv2.connectedComponents((coarse > _FAINT).astype(np.uint8))
    means = np.asarray(cv2.blur(coarse, (_PATCH, _PATCH), borderType=cv2.BORDER_REFLECT))
    high = (means > _NOTHING) & (labels > 0)
    highest = np.zeros(blobs, np.float32)
    np.maximum.at(highest, np.asarray(labels[high], np.intp), means[high])
    share = np.interp(highest, (_NOTHING, _SUBJECT, _DOUBTED, _CERTAIN), (0, 1, 1, 0))
    if not share.any():
        return coarse
    solid = np.clip((coarse - _FAINT) / (_SOLID - _FAINT), 0, 1)
    return np.asarray(coarse + share.astype(np.float32)[labels] * (solid - coarse), np.float32)


def _small_subject(coarse: Float, height: int, width: int) -> Box | None:
    """Return the bounds of a small subject with a margin; None if the subject is not small or not there."""
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
    margin = _CROP_MARGIN * max(bottom - top, right - left)
    ys = slice(max(0, int(top - margin)), min(height, int(bottom + margin) + 1))
    xs = slice(max(0, int(left - margin)), min(width, int(right + margin) + 1))
    share = (ys.stop - ys.start) * (xs.stop - xs.start) / (height * width)
    return (ys, xs) if share <= _SMALL_SUBJECT else None


def _crop(coarse: Float, box: Box, height: int, width: int) -> Float:
    """Return the part of a coarse matte inside `box`, enlarged to the coarse size."""
    ys, xs = (
        slice(part.start * _SIDE // side, -(-part.stop * _SIDE // side))
        for part, side in zip(box, (height, width), strict=True)
    )
    return np.asarray(cv2.resize(coarse[ys, xs], (_SIDE, _SIDE)), np.float32)


def _confirms(closer: Float, first: Float) -> bool:
    """Whether the matte of the crop shows the first subject, and little else."""
    before, after = first > 0.5, closer > 0.5
    both = int(np.count_nonzero(before & after))
    return bool(_CONFIRMED * np.count_nonzero(before) <= both >= np.count_nonzero(after) / _GROWN)


def _is_cut(closer: Float, box: Box, height: int, width: int) -> bool:
    """Whether the subject is cut by a side of `box` that is not a side of the picture."""
    ys, xs = box
    sides = (
        (ys.start > 0, closer[0]),
        (ys.stop < height, closer[-1]),
        (xs.start > 0, closer[:, 0]),
        (xs.stop < width, closer[:, -1]),
    )
    return any(inside and bool((side > 0.5).any()) for inside, side in sides)

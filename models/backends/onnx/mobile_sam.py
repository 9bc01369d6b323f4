"""Segmentation with MobileSAM as ONNX files, on the processor, without torch.

C. Zhang et al., "Faster Segment Anything: Towards Lightweight SAM for Mobile Applications", 2023. The image
encoder runs once for a picture, the mask decoder once for each point of a grid. The files are Acly's export
(https://huggingface.co/Acly/MobileSAM). Tested with random weights of the same size and signature, not
with the published files.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx.utils import Extractor
from PIL import Image

from imaging.mask_proposals import Proposal, distinct, stability, stacked
from imaging.picture import Labels, Rgb
from imaging.resize import Size
from models.backends.onnx.network import session_options
from models.deadline import current
from models.device import DeviceConfig
from models.processors import usable_processors

Float = NDArray[np.float32]

SIDE = 1024
"""Pixels of the longer side of the encoder's input. Its graph pads it to a square, below and on the right."""
_LOGITS = 256
"""Side of the decoder's masks, for the whole square."""
_FOREGROUND, _PADDING = 1, -1
"""Labels of points. Without a box, the published prompt encoder wants a padding point, at (0, 0)."""
_ALTERNATIVES = slice(1, 4)
"""The masks for a part, a whole and something between; the first of the four is for several points."""
_OVERLAP = 0.7
_SMALL_CELLS = 4
"""A point inside a mask of at most this many cells of the grid is not tried: it would give that mask."""
_INPUTS = ("image_embeddings", "point_coords", "point_labels", "mask_input", "has_mask_input")
_OUTPUTS = ("iou_predictions", "low_res_masks")


def resized(width: int, height: int) -> Size:
    """Return the size of the encoder's input: the longer side is 1024, the other one rounded half up."""
    scale = SIDE / max(width, height)
    return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))


def encoder_input(rgb: Rgb) -> Float:
    """Return the encoder's input: height x width x 3, float32, RGB, 0..255.

    The picture is resized as Segment Anything does it, by Pillow's bilinear filter. The encoder's graph
    subtracts the mean, divides by the deviation, and pads.
    """
    size = resized(rgb.shape[1], rgb.shape[0])
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR), np.float32)


def grid(points: int, size: Size) -> list[list[tuple[float, float]]]:
    """Return a grid of points x points in a picture of `size`, x and y in pixels, in three rounds.

    The points are the centres of equal cells. Every second one in each direction comes first, then those
    between four of these, then the others.
    """
    rounds: list[list[tuple[float, float]]] = [[], [], []]
    for row, column in np.ndindex(points, points):
        place = (column + 0.5) / points * size[0], (row + 0.5) / points * size[1]
        rounds[row % 2 if row % 2 == column % 2 else 2].append(place)
    return rounds


def decoder_input(embedding: Float, place: tuple[float, float]) -> dict[str, Float]:
    """Return the decoder's input for one point of an object: x and y in pixels of the encoder's input."""
    return {
        "image_embeddings": embedding,
        "point_coords": np.array([[place, (0, 0)]], np.float32),
        "point_labels": np.array([[_FOREGROUND, _PADDING]], np.float32),
        "mask_input": np.zeros((1, 1, _LOGITS, _LOGITS), np.float32),
        "has_mask_input": np.zeros(1, np.float32),
    }


class MobileSam:
    """Implements the role `models.roles.Segmentation`.

    The map need not cover the picture: pixels without a sure mask are 0. Points are decoded one by one,
    on all processors: in one call they take as long, and the published decoder takes only one.
    """

    def __init__(
        self,
        encoder: Path,
        decoder: Path,
        *,
        points: int = 16,
        thresholds: tuple[float, float] = (0.88, 0.95),
    ) -> None:
        """Load the two files. Raises ValueError that names the file that is not one of MobileSAM.

        points: of the grid, along each side. thresholds: least predicted IoU and least stability of a
        mask; by default those of Segment Anything.
        """
        self._processors = usable_processors()
        self._encoder = _session(encoder, encoder.read_bytes(), self._processors)
        _check_names(encoder, self._encoder.get_inputs(), ("input_image",))
        _check_names(encoder, self._encoder.get_outputs(), ("image_embeddings",))
        self._decoder = _session(decoder, _without_large_masks(decoder), 1)
        self._points = points
        self._thresholds = thresholds

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, points: int = 16) -> Self:
        """Load the model of a card; paths: the encoder, then the decoder."""
        return cls(paths[0], paths[1], points=points)

    def segment(self, rgb: Rgb) -> Labels:
        """Return the objects of `rgb`; see `models.roles.Segmentation`."""
        pixels = encoder_input(rgb)
        (embedding,) = self._encoder.run(["image_embeddings"], {"input_image": pixels})
        high, wide = (side * _LOGITS / SIDE for side in pixels.shape[:2])
        found: list[Proposal] = []
        for places in grid(self._points, (pixels.shape[1], pixels.shape[0])):
            tried = [place for place in places if not self._is_settled(place, found)]
            found = distinct([*found, *self._proposals(embedding, tried, (wide, high))], _OVERLAP)
        return stacked(found, (rgb.shape[1], rgb.shape[0]), (wide, high))

    def _is_settled(self, place: tuple[float, float], found: Sequence[Proposal]) -> bool:
        """Whether a point, x and y in the encoder's input, is in a small mask that was found already."""
        column, row = (int(side * _LOGITS / SIDE) for side in place)
        least = _SMALL_CELLS / self._points**2
        return any(proposal.share <= least and proposal.mask[row, column] for proposal in found)

    def _proposals(
        self,
        embedding: Float,
        places: Sequence[tuple[float, float]],
        reach: tuple[float, float],
    ) -> list[Proposal]:
        """Return the sure masks of all points, in the order of the points.

        places: x and y in the encoder's input. reach: columns and rows of the decoder's masks that the
        picture fills. Raises WorkCancelledError if nobody waits any more.
        """
        deadline = current()
        picture = np.s_[: math.ceil(reach[1]), : math.ceil(reach[0])]

        def masks(place: tuple[float, float]) -> list[Proposal]:
            deadline.check()
            scores, logits = self._decoder.run(_OUTPUTS, decoder_input(embedding, place))
            return list(self._sure(scores[0], logits[0][:, *picture]))

        with ThreadPoolExecutor(self._processors) as threads:
            return list(chain.from_iterable(threads.map(masks, places)))

    def _sure(self, scores: Float, planes: Float) -> Iterator[Proposal]:
        """Yield the alternatives of one point whose predicted IoU and stability are high enough."""
        least, stable = self._thresholds
        for score, plane in zip(scores[_ALTERNATIVES], planes[_ALTERNATIVES], strict=True):
            if score >= least and stability(plane) >= stable:
                yield Proposal.of(plane, float(score))


def _without_large_masks(file: Path) -> bytes:
    """Return the decoder without its first output, the masks at the picture's size.

    They take a quarter of the time and most of the memory, and only some are needed.
    """
    model = _read(file)
    _check_names(file, model.graph.input, _INPUTS)
    _check_names(file, model.graph.output, _OUTPUTS)
    small = Extractor(model).extract_model(list(_INPUTS), list(_OUTPUTS))
    return bytes(small.SerializeToString())


def _read(file: Path) -> onnx.ModelProto:
    try:
        return onnx.load(file)
    except Exception as error:  # of protobuf, which is not a package of this project
        raise ValueError(f"{file} cannot be loaded: {error}") from error


def _check_names(file: Path, entries: Iterable[Any], names: Iterable[str]) -> None:
    missing = set(names) - {entry.name for entry in entries}
    if missing:
        raise ValueError(f"{file} is no file of MobileSAM: it has no {', '.join(sorted(missing))}")


def _session(file: Path, network: bytes, threads: int) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(
            network, session_options(threads), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime has a dozen exceptions without a common base class
        raise ValueError(f"{file} cannot be loaded: {error}") from error

"""Segmentation with SAM 2, through transformers.

N. Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024. Only tested with random
weights: not with the published ones, and not on a GPU.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from torch import nn
from transformers import MaskGenerationPipeline, Sam2ImageProcessor, Sam2Model

from imaging.picture import Labels, Rgb
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.torch.mask_processing import RunLengths, segment
from models.backends.torch.point_batches import MASKS_AT_ONCE, points_at_once
from models.backends.torch.pretrained import load_pretrained, torch_dtype
from models.backends.weight_files import first_line
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.processing import make_call


class Sam2:
    """Implements the role `models.roles.Segmentation`. Pixels without a certain mask are 0."""

    def __init__(
        self,
        folder: Path,
        device_config: DeviceConfig | None = None,
        *,
        points: int = 32,
        batch: int | None = None,
        thresholds: tuple[float, float] = (0.88, 0.95),
    ) -> None:
        """Load a local folder in hub layout, strictly.

        points: number of prompt points along each side. batch: points in one batch; by default as many
        as memory suffices for. thresholds: least predicted IoU and stability of a mask; by default
        the pipeline's own. Raises BadWeightsError.
        """
        device_config = device_config or DeviceConfig()
        gpu = device_config.device.startswith("cuda")
        dtype = torch_dtype(device_config) if gpu else torch.float32
        network: Any = load_pretrained(Sam2Model, folder, dtype)
        try:
            with LOADING:
                self._processor = _Processor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise BadWeightsError(
                f"{folder} has no image processor: {first_line(error)}"
            ) from error
        self._module: DeviceModule[Any] = DeviceModule(network, device_config, dtype)
        self._points = points
        self._batch = batch
        self._thresholds = thresholds

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, points: int = 32) -> Self:
        """Load the model of a card; paths: a repository in hub layout."""
        return cls(paths[0], device_config, points=points)

    def networks(self) -> list[nn.Module]:
        """Return the modules with the weights; see `models.runtime.slots.HasNetworks`."""
        return self._module.networks()

    def segment(self, rgb: Rgb) -> Labels:
        """Return the objects of `rgb`; see `models.roles.Segmentation`."""
        labels: Labels = make_call(self, rgb)
        return labels

    @property
    def processing(self) -> Callable[..., Labels]:
        """The reduction of the picture, and the map of its masks; see `models.processing`."""
        return segment

    def infer(self, inputs: Sequence[Rgb]) -> list[list[RunLengths]]:
        """Return the masks of each picture."""
        return [self._masks(rgb) for rgb in inputs]

    def _masks(self, rgb: Rgb) -> list[RunLengths]:
        kind: Any = MaskGenerationPipeline
        picture = Image.fromarray(rgb)
        with self._module.on_device() as network:
            generate = kind(
                model=network, image_processor=self._processor, device=self._module.device
            )
            result = generate(
                picture,
                points_per_crop=self._points,
                points_per_batch=self._batch or points_at_once(self._module.device),
                pred_iou_thresh=self._thresholds[0],
                stability_score_thresh=self._thresholds[1],
            )
        return list(result["masks"])


class SquarePoints(Sam2ImageProcessor):  # type: ignore[misc]
    """The image processor, with the points of the grid where facebookresearch/sam2 has them.

    SAM 2 squeezes the picture to a square, so a point is a share of either side. transformers scales both
    coordinates by the longer side, as for Segment Anything: a third of a picture of 3:2 would get no point.
    """

    def generate_crop_boxes(self, image: Any, target_size: int, *args: Any, **named: Any) -> Any:
        """Return boxes, points, pictures and labels. target_size: of the square. There must be no crops."""
        boxes, points, pictures, labels = super().generate_crop_boxes(
            image, target_size, *args, **named
        )
        scale = target_size / max(image.size)
        reached = torch.tensor([int(side * scale + 0.5) for side in image.size])
        return boxes, points * (target_size / reached.to(points.device)), pictures, labels


class _Processor(SquarePoints):
    """The image processor, which enlarges only masks that pass the threshold of the predicted IoU.

    The pipeline has every candidate of a batch enlarged first: three for each point. The masks are the
    same, because each is enlarged and judged for itself. The pipeline must use no crops.
    """

    def post_process_masks(self, masks: Any, *_: Any, **__: Any) -> Any:
        """Return the masks as they are."""
        return masks

    def post_process_for_mask_generation(
        self, masks: Any, scores: torch.Tensor, boxes: torch.Tensor, nms_thresh: float
    ) -> tuple[Any, torch.Tensor, Any, torch.Tensor]:
        """Return the masks that are no duplicates, still as run lengths: to decode them needs no device."""
        undecoded = [{"size": (0, 0), "counts": (), "mask": mask} for mask in masks]
        _, scores, kept, boxes = super().post_process_for_mask_generation(
            undecoded, scores, boxes, nms_thresh
        )
        encoded = [one["mask"] for one in kept]
        return encoded, scores, encoded, boxes

    def filter_masks(
        self,
        masks: torch.Tensor,
        iou_scores: torch.Tensor,
        original_size: Sequence[int],
        cropped_box_image: torch.Tensor,
        pred_iou_thresh: float,
        *thresholds: float,
    ) -> tuple[list[Any], torch.Tensor, torch.Tensor]:
        """Return the certain and stable masks at the size of the picture, their scores and boxes."""
        low, scores = masks.flatten(0, 1), iou_scores.flatten(0, 1)
        certain = scores > (pred_iou_thresh if pred_iou_thresh > 0 else -torch.inf)
        found: list[tuple[list[Any], torch.Tensor, torch.Tensor]] = []
        for some in certain.nonzero().flatten().split(MASKS_AT_ONCE):
            checkpoint()
            large = low.new_zeros((1, 0, *original_size))
            if len(some):
                large = super().post_process_masks(
                    [low[some][None]], [original_size], binarize=False
                )[0]
            found.append(
                super().filter_masks(
                    large,
                    scores[some][None],
                    original_size,
                    cropped_box_image,
                    pred_iou_thresh,
                    *thresholds,
                )
            )
        encoded, kept, boxes = zip(*found, strict=True)
        return [mask for masks in encoded for mask in masks], torch.cat(kept), torch.cat(boxes)

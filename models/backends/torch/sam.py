"""Segmentation with SAM, through the package segment-anything.

A. Kirillov et al., "Segment Anything", ICCV 2023. Only tested with random weights: not with the
published ones, and not on a GPU.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)
from segment_anything.modeling import Sam as SamNetwork
from segment_anything.utils.amg import (
    MaskData,
    batched_mask_to_box,
    calculate_stability_score,
    is_box_near_crop_edge,
    mask_to_rle_pytorch,
    uncrop_masks,
)
from torch import Tensor, nn

from imaging.picture import Labels, Rgb
from models.backends.torch.checkpoints import load_strictly, read_state
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.torch.mask_processing import RunLengths, segment
from models.backends.torch.point_batches import MASKS_AT_ONCE, points_at_once
from models.backends.weight_files import only_file
from models.deadline import checkpoint
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.processing import make_call

WINDOW, HEADS = 14, 8  # the same in all published checkpoints; no tensor shows them
_MEAN, _STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Sam:
    """Implements the role `models.roles.Segmentation`.

    Weights are float32. With another dtype on a GPU, the image encoder, which takes most of the
    time, runs under autocast. The map need not cover the picture: pixels without a certain mask are
    0.
    """

    def __init__(
        self,
        file: Path,
        device_config: DeviceConfig | None = None,
        *,
        points: int = 32,
        batch: int | None = None,
        thresholds: tuple[float, float] = (0.88, 0.95),
    ) -> None:
        """Load a checkpoint (vit_b, vit_l or vit_h). Its tensors show which it is.

        points: number of prompt points along each side. batch: points in one batch; by default as many
        as memory suffices for. thresholds: least predicted IoU and stability of a mask; by default
        the package's own. Raises BadWeightsError that names the file.
        """
        device_config = device_config or DeviceConfig()
        state = read_state(file)
        with LOADING:
            network = build(state, file)
            load_strictly(network, state, file)
        gpu = device_config.device.startswith("cuda")
        if gpu and device_config.dtype != "float32":
            network.image_encoder = _Autocast(network.image_encoder, device_config.dtype)
        self._module: DeviceModule[Any] = DeviceModule(network, device_config, torch.float32)
        self._points = points
        self._batch = batch
        self._thresholds = thresholds

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, points: int = 32) -> Self:
        """Load the model of a card; paths: one file, or its folder."""
        return cls(only_file(paths[0]), device_config, points=points)

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
        with self._module.on_device() as network:
            # One generator for each call: it holds the features of the picture.
            generator = _MaskGenerator(
                network,
                points_per_side=self._points,
                points_per_batch=self._batch or points_at_once(self._module.device),
                pred_iou_thresh=self._thresholds[0],
                stability_score_thresh=self._thresholds[1],
                output_mode="uncompressed_rle",
            )
            return [mask["segmentation"] for mask in generator.generate(rgb)]


class _MaskGenerator(SamAutomaticMaskGenerator):  # type: ignore[misc]
    """The package's generator, which enlarges only masks that pass the threshold of the predicted IoU.

    The package enlarges every candidate of a batch first: three for each point, 18 MB at 1.5 megapixels.
    The masks are the same, because each is enlarged and judged for itself.
    """

    def _process_batch(
        self,
        points: NDArray[np.float64],
        im_size: tuple[int, ...],
        crop_box: list[int],
        orig_size: tuple[int, ...],
    ) -> MaskData:
        network, device = self.predictor.model, self.predictor.device
        moved = self.predictor.transform.apply_coords(points, im_size)
        coordinates = torch.as_tensor(moved, device=device)[:, None]
        labels = torch.ones(coordinates.shape[:2], dtype=torch.int, device=device)
        sparse, dense = network.prompt_encoder(points=(coordinates, labels), boxes=None, masks=None)
        masks, scores = network.mask_decoder(
            image_embeddings=self.predictor.features,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
        candidates = MaskData(
            masks=masks.flatten(0, 1),
            iou_preds=scores.flatten(0, 1),
            points=torch.as_tensor(points.repeat(masks.shape[1], axis=0)),
        )
        if self.pred_iou_thresh > 0.0:
            candidates.filter(candidates["iou_preds"] > self.pred_iou_thresh)
        found = MaskData()
        for some in torch.arange(len(candidates["iou_preds"]), device=device).split(MASKS_AT_ONCE):
            checkpoint()
            part = MaskData(**{name: values[some] for name, values in candidates.items()})
            found.cat(self._judged(part, crop_box, orig_size))
        return found

    def _judged(self, part: MaskData, crop_box: list[int], orig_size: tuple[int, ...]) -> MaskData:
        """Enlarge some masks, and return those that are stable, as the package does."""
        network, predictor = self.predictor.model, self.predictor
        large = network.postprocess_masks(
            part["masks"][:, None], predictor.input_size, predictor.original_size
        )[:, 0]
        part["masks"] = large
        part["stability_score"] = calculate_stability_score(
            large, network.mask_threshold, self.stability_score_offset
        )
        if self.stability_score_thresh > 0.0:
            part.filter(part["stability_score"] >= self.stability_score_thresh)
        part["masks"] = part["masks"] > network.mask_threshold
        part["boxes"] = batched_mask_to_box(part["masks"])
        height, width = orig_size
        part.filter(~is_box_near_crop_edge(part["boxes"], crop_box, [0, 0, width, height]))
        part["rles"] = mask_to_rle_pytorch(uncrop_masks(part["masks"], crop_box, height, width))
        del part["masks"]
        return part


class _Autocast(nn.Module):
    """An image encoder that runs at lower precision.

    Its result is float32, because the rest must be exact.
    """

    def __init__(self, encoder: nn.Module, dtype: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.img_size = encoder.img_size
        self._dtype = getattr(torch, dtype)

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, self._dtype):
            features: Tensor = self.encoder(pixels)
        return features.float()


def build(state: Mapping[str, Tensor], file: Path) -> Any:
    """Build the network that fits the tensors in `state`, with random weights; raises BadWeightsError."""
    try:
        encoder = _encoder(state)
        width = state["mask_decoder.iou_token.weight"].shape[1]
        grid = state["image_encoder.pos_embed"].shape[1]
        hidden, _ = state["mask_decoder.iou_prediction_head.layers.0.weight"].shape
        mlp, _ = state["mask_decoder.transformer.layers.0.mlp.lin1.weight"].shape
        return SamNetwork(
            image_encoder=encoder,
            prompt_encoder=PromptEncoder(
                embed_dim=width,
                image_embedding_size=(grid, grid),
                input_image_size=(encoder.img_size, encoder.img_size),
                mask_in_chans=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
            ),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=state["mask_decoder.mask_tokens.weight"].shape[0] - 1,
                transformer=TwoWayTransformer(
                    depth=_count(state, "mask_decoder.transformer.layers."),
                    embedding_dim=width,
                    mlp_dim=mlp,
                    num_heads=HEADS,
                ),
                transformer_dim=width,
                iou_head_depth=_count(state, "mask_decoder.iou_prediction_head.layers."),
                iou_head_hidden_dim=hidden,
            ),
            pixel_mean=list(_MEAN),
            pixel_std=list(_STD),
        )
    except KeyError as error:
        raise BadWeightsError(
            f"{file} is not a SAM checkpoint: {error.args[0]} is missing"
        ) from error
    except (ValueError, AttributeError, AssertionError, IndexError, ZeroDivisionError) as error:
        raise BadWeightsError(f"{file} is not a SAM checkpoint: {error}") from error


def _encoder(state: Mapping[str, Tensor]) -> Any:
    """Build the image encoder. Blocks with positions for the whole grid have global attention."""
    blocks = "image_encoder.blocks."
    embed, _, patch, _ = state["image_encoder.patch_embed.proj.weight"].shape
    grid = state["image_encoder.pos_embed"].shape[1]
    depth = _count(state, blocks)
    positions = [state[f"{blocks}{i}.attn.rel_pos_h"].shape for i in range(depth)]
    return ImageEncoderViT(
        img_size=grid * patch,
        patch_size=patch,
        depth=depth,
        embed_dim=embed,
        mlp_ratio=state[f"{blocks}0.mlp.lin1.weight"].shape[0] / embed,
        out_chans=state["image_encoder.neck.0.weight"].shape[0],
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        num_heads=embed // positions[0][1],
        use_rel_pos=True,
        window_size=WINDOW,
        global_attn_indexes=tuple(
            i for i, (length, _) in enumerate(positions) if length == 2 * grid - 1
        ),
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Return the number of numbered modules under a prefix; raises KeyError if there are none."""
    numbers = {name[len(prefix) :].partition(".")[0] for name in state if name.startswith(prefix)}
    if not numbers:
        raise KeyError(f"{prefix}0")
    return len(numbers)

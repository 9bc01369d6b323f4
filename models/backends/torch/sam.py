"""Segmentation with SAM, through the package segment-anything.

A. Kirillov et al., "Segment Anything", ICCV 2023. Only tested with random weights: not with the
published ones, and not on a GPU.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    TwoWayTransformer,
)
from segment_anything.modeling import Sam as SamNetwork
from segment_anything.utils.amg import rle_to_mask
from torch import Tensor, nn

from imaging.label_map import label_map
from imaging.picture import Labels, Rgb
from imaging.resize import resize, within_area
from models.backends.torch.checkpoints import load_strictly, read_state
from models.backends.torch.device_module import DeviceModule
from models.backends.torch.loading import LOADING
from models.backends.weight_files import only_file
from models.device import DeviceConfig
from models.errors import BadWeightsError

WORK_PIXELS = 1_500_000
"""Number of pixels at which masks are made. The generator holds every candidate mask at the
picture's size."""
BATCH_CPU, BATCH_GPU = 8, 64
"""Points in one batch. At 1.5 megapixels, each takes 18 MB."""
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

        points: number of prompt points along each side. batch: points in one batch. thresholds:
        least predicted IoU and stability of a mask; by default the package's own. Raises
        BadWeightsError that names the file.
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
        self._batch = batch or (BATCH_GPU if gpu else BATCH_CPU)
        self._thresholds = thresholds

    @classmethod
    def load(cls, paths: Sequence[Path], device_config: DeviceConfig, points: int = 32) -> Self:
        """Load the model of a card; paths: one file, or its folder."""
        return cls(only_file(paths[0]), device_config, points=points)

    def segment(self, rgb: Rgb) -> Labels:
        """Return the objects of `rgb`; see `models.roles.Segmentation`."""
        small = resize(rgb, within_area(rgb.shape[1], rgb.shape[0], WORK_PIXELS))
        with self._module.on_device() as network:
            # One generator for each call: it holds the features of the picture.
            generator = SamAutomaticMaskGenerator(
                network,
                points_per_side=self._points,
                points_per_batch=self._batch,
                pred_iou_thresh=self._thresholds[0],
                stability_score_thresh=self._thresholds[1],
                output_mode="uncompressed_rle",
            )
            candidates = generator.generate(small)
        candidates.sort(key=lambda mask: -mask["area"])
        masks = [rle_to_mask(mask["segmentation"]) for mask in candidates[:255]]
        return label_map(masks, rgb.shape[1], rgb.shape[0])


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

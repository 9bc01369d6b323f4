"""A tiny SAM with random weights: a checkpoint of segment-anything's own layers."""

from functools import partial
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import Tensor, nn

from models.backends.torch.loading import LOADING
from models.backends.torch.sam import HEADS, WINDOW


def make_tiny(folder: Path) -> None:
    """Write `tiny-sam.safetensors`: small SAM layers with random weights, for 256 x 256 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Sam(
            image_encoder=ImageEncoderViT(
                img_size=256,
                patch_size=16,
                depth=2,
                embed_dim=32,
                mlp_ratio=4,
                out_chans=32,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                num_heads=2,
                use_rel_pos=True,
                window_size=WINDOW,
                global_attn_indexes=(1,),
            ),
            prompt_encoder=PromptEncoder(32, (16, 16), (256, 256), 16),
            mask_decoder=MaskDecoder(
                num_multimask_outputs=3,
                transformer=TwoWayTransformer(2, 32, HEADS, 64),
                transformer_dim=32,
                iou_head_hidden_dim=32,
            ),
        )
    state = cast(dict[str, Tensor], network.state_dict())
    save_file(
        {name: value.contiguous() for name, value in state.items()}, folder / "tiny-sam.safetensors"
    )

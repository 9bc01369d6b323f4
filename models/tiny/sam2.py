"""A tiny SAM 2 with random weights, in hub layout."""

from pathlib import Path

import torch
from transformers import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2ImageProcessor,
    Sam2MaskDecoderConfig,
    Sam2Model,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)

from models.backends.torch.loading import LOADING


def make_tiny(folder: Path) -> None:
    """Write a small SAM 2 with random weights for 128 x 128 pixels, in hub layout."""
    folder.mkdir(parents=True, exist_ok=True)
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[128, 128],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_positional_embedding_background_size=[2, 2],
        window_size_per_stage=[8, 4, 4, 4],
        global_attention_blocks=[3],
    )
    config = Sam2Config(
        vision_config=Sam2VisionConfig(
            backbone_config=backbone,
            backbone_channel_list=[64, 32, 16, 8],
            backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
            fpn_hidden_size=32,
        ),
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=128),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32,
            mlp_dim=64,
            num_attention_heads=4,
            iou_head_hidden_dim=32,
            iou_head_depth=2,
        ),
    )
    with LOADING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        Sam2Model(config).save_pretrained(folder)
    Sam2ImageProcessor(
        size={"height": 128, "width": 128}, mask_size={"height": 32, "width": 32}
    ).save_pretrained(folder)

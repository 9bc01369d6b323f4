"""One precision and one format of each network, out of listings like those of the repositories on the hub."""

from dataclasses import replace
from fnmatch import fnmatch

import pytest

from models.catalog import repositories
from models.catalog.source import HubFolder
from models.weights.selection import one_of_each

MIB = 2**20

SDXL = {
    "model_index.json": 609,
    "scheduler/scheduler_config.json": 479,
    "sd_xl_base_1.0.safetensors": 6_938_078_334,
    "sd_xl_base_1.0_0.9vae.safetensors": 6_938_078_334,
    "sd_xl_offset_example-lora_1.0.safetensors": 49_553_604,
    "text_encoder/config.json": 565,
    "text_encoder/flax_model.msgpack": 492_244_672,
    "text_encoder/model.fp16.safetensors": 246_144_152,
    "text_encoder/model.onnx": 492_587_457,
    "text_encoder/model.safetensors": 492_265_168,
    "text_encoder/openvino_model.bin": 492_242_672,
    "text_encoder_2/config.json": 575,
    "text_encoder_2/model.fp16.safetensors": 1_389_382_176,
    "text_encoder_2/model.onnx_data": 2_778_639_360,
    "text_encoder_2/model.safetensors": 2_778_702_264,
    "tokenizer/merges.txt": 524_619,
    "tokenizer/vocab.json": 1_059_962,
    "tokenizer_2/merges.txt": 524_619,
    "tokenizer_2/vocab.json": 1_059_962,
    "unet/config.json": 1_680,
    "unet/diffusion_flax_model.msgpack": 10_269_851_264,
    "unet/diffusion_pytorch_model.fp16.safetensors": 5_135_149_760,
    "unet/diffusion_pytorch_model.safetensors": 10_270_077_736,
    "unet/model.onnx_data": 10_269_854_720,
    "vae/config.json": 642,
    "vae/diffusion_pytorch_model.fp16.safetensors": 167_335_342,
    "vae/diffusion_pytorch_model.safetensors": 334_643_268,
    "vae_1_0/config.json": 607,
    "vae_1_0/diffusion_pytorch_model.fp16.safetensors": 167_335_342,
    "vae_1_0/diffusion_pytorch_model.safetensors": 334_643_268,
    "vae_decoder/model.onnx": 198_093_688,
}
"""A pipeline as diffusers publishes it: names and sizes of stabilityai/stable-diffusion-xl-base-1.0."""
KLEIN = {
    "flux-2-klein-4b.safetensors": 7_751_105_712,
    "model_index.json": 500,
    "scheduler/scheduler_config.json": 500,
    "text_encoder/config.json": 1_500,
    "text_encoder/model-00001-of-00002.safetensors": 4_967_215_360,
    "text_encoder/model-00002-of-00002.safetensors": 3_077_766_632,
    "text_encoder/model.safetensors.index.json": 32_819,
    "tokenizer/merges.txt": 1_671_853,
    "tokenizer/tokenizer.json": 11_422_654,
    "transformer/config.json": 500,
    "transformer/diffusion_pytorch_model.safetensors": 7_751_109_744,
    "vae/config.json": 800,
    "vae/diffusion_pytorch_model.safetensors": 168_120_878,
}
QWEN_EDIT = {
    "model_index.json": 500,
    "processor/preprocessor_config.json": 700,
    "scheduler/scheduler_config.json": 500,
    "text_encoder/config.json": 3_000,
    **{
        f"text_encoder/model-0000{number}-of-00004.safetensors": size
        for number, size in enumerate(
            (4_968_243_304, 4_991_495_816, 4_932_751_040, 1_691_924_384), 1
        )
    },
    "text_encoder/model.safetensors.index.json": 57_619,
    "tokenizer/vocab.json": 3_383_407,
    "transformer/config.json": 400,
    **{
        f"transformer/diffusion_pytorch_model-0000{number}-of-00005.safetensors": size
        for number, size in enumerate(
            (9_973_578_592, 9_987_326_072, 9_987_307_440, 9_930_685_712, 982_130_472), 1
        )
    },
    "transformer/diffusion_pytorch_model.safetensors.index.json": 198_887,
    "vae/config.json": 800,
    "vae/diffusion_pytorch_model.safetensors": 253_806_966,
}
SAM2 = {
    "README.md": 5_000,
    "config.json": 6_000,
    "model.safetensors": 897_953_976,
    "preprocessor_config.json": 700,
    "processor_config.json": 100,
    "sam2.1_hiera_l.yaml": 3_800,
    "sam2.1_hiera_large.pt": 898_083_611,
    "video_preprocessor_config.json": 700,
}
PARTS = ("scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet", "vae")
SDXL_BASE = HubFolder(
    "stabilityai/stable-diffusion-xl-base-1.0",
    None,
    ("model_index.json", *(f"{part}/*" for part in PARTS)),
    6620,
    variant="fp16",
)
"""A pipeline with both precisions, and with files for other programs."""


def fetched(part: HubFolder, listing: dict[str, int]) -> dict[str, int]:
    allowed = [name for name in listing if any(fnmatch(name, one) for one in part.patterns)]
    return {name: listing[name] for name in one_of_each(allowed, part.variant)}


@pytest.mark.parametrize(
    ("part", "listing"),
    [
        (
            repositories.BRIA,
            SDXL,
        ),  # gated, so its names are not known: those of a UNet in both precisions
        (SDXL_BASE, SDXL),
        (repositories.KLEIN, KLEIN),
        (repositories.QWEN_EDIT, QWEN_EDIT),
        (repositories.SAM2, SAM2),
    ],
    ids=lambda value: value.repo if isinstance(value, HubFolder) else "",
)
def test_a_card_tells_the_bytes_that_are_fetched(part: HubFolder, listing: dict[str, int]) -> None:
    size = sum(fetched(part, listing).values()) / MIB
    assert size == pytest.approx(part.size_mb, rel=0.005)


def test_of_two_precisions_only_one_is_fetched() -> None:
    half = fetched(SDXL_BASE, SDXL)
    weights = {name for name in half if name.endswith(".safetensors")}
    assert weights == {
        "text_encoder/model.fp16.safetensors",
        "text_encoder_2/model.fp16.safetensors",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    }
    plain = fetched(replace(SDXL_BASE, variant=""), SDXL)
    assert not [name for name in plain if "fp16" in name]
    assert sum(plain.values()) == pytest.approx(2 * sum(half.values()), rel=0.002)


def test_where_a_card_allows_everything_each_network_comes_once() -> None:
    kept = one_of_each(SDXL, "fp16")
    assert [name for name in kept if name.startswith(("unet", "text_encoder/"))] == [
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert not [name for name in kept if name.startswith("sd_xl")]
    assert "sam2.1_hiera_large.pt" not in one_of_each(SAM2)
    assert "model.safetensors" in one_of_each(SAM2)


def test_shards_and_their_index_stay_together() -> None:
    names = [
        "unet/net-00001-of-00002.fp16.safetensors",
        "unet/net-00002-of-00002.fp16.safetensors",
        "unet/net.safetensors.index.fp16.json",
        "unet/net.fp16-00001-of-00002.safetensors",
        "unet/net-00001-of-00002.safetensors",
        "unet/net.safetensors.index.json",
        "unet/net.bin",
    ]
    assert one_of_each(names, "fp16") == sorted(names[:4])
    assert one_of_each(names) == sorted(names[4:6])


def test_what_has_one_form_is_fetched_in_it() -> None:
    only = [
        "config.json",
        "onnx/model.onnx",
        "onnx/model.onnx_data",
        "unet/net.fp16.safetensors",
        "w.bin",
        "code.py",
    ]
    assert one_of_each(only) == sorted(only)
    assert one_of_each(["a.safetensors", "a.bf16.safetensors"], "fp16") == ["a.safetensors"]
    assert one_of_each(["lora.safetensors", "other.safetensors"]) == [
        "lora.safetensors",
        "other.safetensors",
    ]

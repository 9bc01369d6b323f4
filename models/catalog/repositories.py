"""The repositories of the hub that cards use: name, revision, size and file patterns.

The commits were found in public sources. Where no commit was found, the revision is None and the first
download pins it.
"""

from models.catalog.source import HubFolder

_PLAIN = ("*.json", "*.txt", "*.safetensors")
_CODE = ("*.json", "*.py", "model.safetensors")

BIREFNET = HubFolder("ZhengPeng7/BiRefNet", "e2bf8e4460fc8fa32bba5ea4d94b3233d367b0e4", _CODE, 424)
BIREFNET_HR_MATTING = HubFolder(
    "ZhengPeng7/BiRefNet_HR-matting", "5d6b6f8adcb5b417c871b1d84ceaae9871355b7f", _CODE, 424
)
RMBG = HubFolder(
    "briaai/RMBG-2.0", "5df4c9c76d8170882c34f6986e848ee07fd0ba43", _CODE, 844, gated=True
)
RMBG_ONNX = HubFolder(
    RMBG.repo, RMBG.revision, ("onnx/model.onnx",), 977, gated=True, selection="onnx"
)
SAM2 = HubFolder(
    "facebook/sam2.1-hiera-large", "665f8e2ad61cf5f53d65644ff27c8ee525124610", _PLAIN, 857
)
NSFW = HubFolder(
    "Freepik/nsfw_image_detector",
    "15b85477e4fd2000db76ae9aae0f89a72f95e2e3",
    ("*.json", "model.safetensors"),
    165,
)
FALCONSAI = HubFolder("Falconsai/nsfw_image_detection", None, ("*.json", "model.safetensors"), 328)
BLIP = HubFolder(
    "Salesforce/blip-image-captioning-large",
    "353689b859fcf0523410b1806dace5fb46ecdf41",
    ("*.json", "*.txt", "model.safetensors"),
    1791,
)
QWEN = HubFolder(
    "Qwen/Qwen3-4B-Instruct-2507", "cdbee75f17c01a7cc42f958dc650907174af0554", _PLAIN, 7688
)
SDXL = HubFolder(
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
    "115134f363124c53c7d878647567d04daf26e41e",
    ("*.json", "*.txt", "*/*.fp16.safetensors"),
    6620,
)
IP_ADAPTER = HubFolder(
    "h94/IP-Adapter",
    "018e402774aeeddd60609b4ecdb7e298259dc729",
    (
        "models/image_encoder/config.json",
        "models/image_encoder/model.safetensors",
        "sdxl_models/ip-adapter_sdxl_vit-h.safetensors",
    ),
    3077,
)
LCM_LORA = HubFolder(
    "latent-consistency/lcm-lora-sdxl",
    "a18548dd4956b174ec5b0d78d340c8dae0a129cd",
    ("pytorch_lora_weights.safetensors",),
    376,
)
SD15 = HubFolder(
    "stable-diffusion-v1-5/stable-diffusion-inpainting",
    "8a4288a76071f7280aedbdb3253bdb9e9d5d84bb",
    (
        "model_index.json",
        "scheduler/*.json",
        "text_encoder/config.json",
        "text_encoder/model.fp16.safetensors",
        "tokenizer/*.json",
        "tokenizer/*.txt",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.fp16.safetensors",
    ),
    2040,
)
"""At this commit the weights are safetensors in half precision only, or pickles; it has no other commit
with plain ones. The safety checker is not fetched."""
SD15_LCM_LORA = HubFolder(
    "latent-consistency/lcm-lora-sdv1-5",
    "cf2fced511dbe7e26c8d1d397e728fbab875db4b",
    ("pytorch_lora_weights.safetensors",),
    128,
)
_EDITING = (
    "model_index.json",
    "scheduler/*.json",
    "text_encoder/*.json",
    "text_encoder/*.safetensors",
    "tokenizer/*.json",
    "tokenizer/*.txt",
    "tokenizer/*.jinja",
    "transformer/*.json",
    "transformer/*.safetensors",
    "vae/*.json",
    "vae/*.safetensors",
)
"""Of an editing pipeline with a transformer: all files below its folders, and no other. The root of
klein's repository also holds the transformer as one file."""
KLEIN = HubFolder(
    "black-forest-labs/FLUX.2-klein-4B", "e7b7dc27f91deacad38e78976d1f2b499d76a294", _EDITING, 15240
)
QWEN_EDIT = HubFolder(
    "Qwen/Qwen-Image-Edit-2511",
    "6f3ccc0b56e431dc6a0c2b2039706d7d26f22cb9",
    (*_EDITING, "processor/*.json", "processor/*.txt", "processor/*.jinja"),
    55050,
)
FP16_VAE = HubFolder(
    "madebyollin/sdxl-vae-fp16-fix",
    "207b116dae70ace3637169f1ddd2434b91b3a8cd",
    ("config.json", "diffusion_pytorch_model.safetensors"),
    320,
)
BIG_LAMA_FOLDER = HubFolder("signature-ai/big-lama", None, ("big-lama.pt",), 196)
"""LaMa for BRIA's eraser: its code runs only if the file is `files.BIG_LAMA`, byte for byte (`Lama`). BRIA's own
`lama/model.pt` is a TorchScript big-lama too, but nobody has published its checksum."""
_FUSED = "BRIA-2.3-FAST-LORA-FUSED"
_CONTROL = ("config.json", "diffusion_pytorch_model*.safetensors", "diffusion_pytorch_model.bin")
"""Of a network of BRIA's, which may be a pickle alone (`models.backends.diffusion.published`)."""
BRIA_FAST = HubFolder(
    "briaai/erase",
    None,
    (
        f"{_FUSED}/model_index.json",
        *(f"{_FUSED}/{part}/*.json" for part in ("scheduler", "text_encoder", "text_encoder_2")),
        *(f"{_FUSED}/{part}/*.safetensors" for part in ("text_encoder", "text_encoder_2", "unet")),
        *(f"{_FUSED}/{part}/*.json" for part in ("tokenizer", "tokenizer_2")),
        *(f"{_FUSED}/{part}/*.txt" for part in ("tokenizer", "tokenizer_2")),
        f"{_FUSED}/unet/*.json",
        *(f"vae/{name}" for name in _CONTROL),
    ),
    7000,
    gated=True,
    selection="fast",
    variant="fp16",
)
BRIA_ERASER = HubFolder(
    "briaai/erase",
    None,
    tuple(f"controlnet_xl_eraser/{name}" for name in _CONTROL),
    4770,
    gated=True,
    selection="eraser",
)
BRIA_EXPANSION = HubFolder(
    "briaai/Expansion",
    None,
    tuple(f"controlnet*/{name}" for name in _CONTROL),
    9540,
    gated=True,
)
"""The names of its folders are not public but for the eraser's: all ControlNets are fetched."""
BRIA = HubFolder(
    "briaai/BRIA-2.3",
    None,
    ("unet/config.json", "unet/*.safetensors"),
    4900,
    gated=True,
    variant="fp16",
)
BRIA_IMAGE_PROMPT = HubFolder(
    "briaai/Image-Prompt",
    None,
    (
        "models/image_encoder/config.json",
        "models/image_encoder/model.safetensors",
        "models/image_encoder/pytorch_model.bin",
        "models/ip_adapter_bria.bin",
    ),
    3800,
    gated=True,
)
FIBO_EDIT = HubFolder("briaai/Fibo-Edit-1.5-turbo", None, _EDITING, 23_200, gated=True)


def bria_control(repo: str) -> HubFolder:
    """Return the repository of a ControlNet for BRIA 2.3. repo: the end of its name.

    Their weights are pickles; beside them are the same weights in float32 under other names.
    """
    return HubFolder(
        f"briaai/BRIA-2.3-ControlNet-{repo}",
        None,
        _CONTROL,
        4770,
        gated=True,
    )

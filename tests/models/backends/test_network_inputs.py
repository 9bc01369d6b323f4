"""What the network of each card without torch is fed for two photographs, against its publisher's transform.

One row for each card. The networks are tiny ones of the published signature, behind the card's own class;
the transforms are written here from what the publishers' repositories say, each named in its row.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from imaging.picture import Rgb
from models.backends.onnx.detected_face import DetectedFace
from models.catalog.card import by_name
from models.catalog.cards import tiny
from models.catalog.registry import CARDS
from models.device import DeviceConfig
from tests.helpers import tiny_onnx
from tests.helpers.network_inputs import (
    HALF,
    IMAGENET,
    PICTURES,
    Array,
    assert_same,
    assert_tiles,
    hole_of,
    normalised,
    recorded,
    sampled,
)
from tests.helpers.plain_resampling import bicubic, bilinear, lanczos, resampled
from tests.helpers.tiny_florence2 import SIDE as FLORENCE_SIDE
from tests.helpers.tiny_florence2 import make_florence2, make_tokenizer
from tests.helpers.tiny_onnx import FLOAT
from tests.helpers.torch_files import compact_weights, save

CARD = by_name(CARDS)
Fed = list[dict[str, Array]]
Row = Callable[[str, Path, Rgb, Fed], None]
"""Checks one card, by name: makes tiny files in a folder, loads the card, calls it and looks at what was fed."""

_CLASSICAL = "models.backends.classical."
"""The package of the methods without a network."""
_LEVEL = 1 / 255 / 0.225
"""About one level, where ImageNet's figures normalise."""


def load(name: str, paths: Sequence[Path]) -> Any:
    return CARD[name].load(paths, DeviceConfig())


def u2net(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """xuebinqin/U-2-Net, data_loader.py: the highest level is 1, then ImageNet's figures; 320 x 320.

    danielgatis/rembg, rembg/sessions/base.py, whose file it is: Pillow's Lanczos filter.
    """
    port = ("input.1", FLOAT, (1, 3, 320, 320))
    answer = {"1959": np.zeros((1, 1, 320, 320))}
    load(name, [tiny_onnx.constant(folder / "u2netp.onnx", [port], answer)]).matte(rgb)
    small = resampled(rgb, 320, lanczos, 3.0)
    (picture,) = fed[0].values()
    # The level that counts as 1 may be one apart where the filters round differently.
    assert_same(picture, normalised(small * (255 / small.max()), IMAGENET), _LEVEL, most=2.1)


def matting(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """Model cards of ZhengPeng7/BiRefNet and briaai/RMBG-2.0: torchvision's Resize of a Pillow picture
    (bilinear), ToTensor, Normalize with ImageNet's figures. The side is in the file's name, or 1024."""
    side = 512 if "512" in name else 1024
    port = ("input_image", FLOAT, (1, 3, side, side))
    answer = {"output_image": np.zeros((1, 1, side, side))}
    inner = folder / "onnx"
    inner.mkdir()
    file = tiny_onnx.constant(inner / "model.onnx", [port], answer)
    load(name, [folder if CARD[name].folders else file]).matte(rgb)
    (inputs,) = fed
    small = resampled(rgb, side, bilinear, 1.0)
    assert_same(inputs["input_image"], normalised(small, IMAGENET), _LEVEL)


def lama(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """Carve/LaMa-ONNX, README and export notebook; Sanster/IOPaint, iopaint/model/lama.py: RGB in 0..1, a
    mask that is 1 in the hole. The network itself hides the hole; here it is hidden before."""
    hole = hole_of(rgb)
    load(name, [tiny_onnx.lama(folder / "lama.onnx", "colour")]).fill(rgb, hole)
    (inputs,) = fed
    small, hidden = squeezed(rgb, hole)
    expected = np.where(hidden[..., None], 0, small).transpose(2, 0, 1)[None] / 255
    assert inputs["image"].dtype == inputs["mask"].dtype == np.float32
    assert_same(inputs["image"], expected, 1 / 255, most=0.01)
    assert np.array_equal(inputs["mask"], hidden[None, None])


def migan(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """Picsart-AI-Research/MI-GAN, scripts/create_onnx_pipeline.py: bytes, RGB; the mask is 255 where the
    picture is known and 0 in the hole. The file itself normalises and hides the hole."""
    hole = hole_of(rgb)
    load(name, [tiny_onnx.migan(folder / "migan.onnx", "colour")]).fill(rgb, hole)
    (inputs,) = fed
    small, hidden = squeezed(rgb, hole)
    assert inputs["image"].dtype == inputs["mask"].dtype == np.uint8
    assert np.array_equal(inputs["mask"][0, 0], np.where(hidden, 0, 255))
    assert np.array_equal(inputs["image"][0][:, ~hidden], small.transpose(2, 0, 1)[:, ~hidden])


def squeezed(rgb: Rgb, hole: Array) -> tuple[Rgb, Array]:
    """Return picture and hole as a square of 512: both pictures are enlarged to it as a whole."""
    small = cv2.resize(rgb, (512, 512), interpolation=cv2.INTER_LINEAR)
    hidden = cv2.resize(hole.astype(np.float32), (512, 512), interpolation=cv2.INTER_LINEAR) > 0
    return np.asarray(small, np.uint8), hidden


def realesrgan_ncnn(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """xinntao/Real-ESRGAN-ncnn-vulkan, src/realesrgan.cpp: RGB in 0..1, in tiles with a margin."""
    (folder / "net.param").write_text(
        "7767517\n2 2\nInput data 0 1 data\nInterp up 1 1 data output 0=1 1=4.0 2=4.0\n"
    )
    (folder / "net.bin").write_bytes(b"")
    model = load(name, [folder / "net.param", folder / "net.bin"])
    made: list[Array] = []
    model._net = _Recording(model._net, made)
    model.upscale(rgb, 2)
    assert_tiles(made, rgb, 18, 1 / 255)


class _Recording:
    """An ncnn network whose extractors keep what they are fed."""

    def __init__(self, net: Any, fed: list[Array]) -> None:
        self._net, self._fed = net, fed

    def create_extractor(self) -> Any:
        return _Extractor(self._net.create_extractor(), self._fed)


class _Extractor:
    def __init__(self, inside: Any, fed: list[Array]) -> None:
        self._inside, self._fed = inside, fed
        self.extract = inside.extract

    def input(self, name: str, pixels: Any) -> None:
        self._fed.append(np.array(pixels))
        self._inside.input(name, pixels)


def realesr_general(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """xinntao/Real-ESRGAN, realesrgan/utils.py, enhance and pre_process: RGB in 0..1, mirrored margins."""
    paths = [
        save(folder / f"{seed}.pth", {"params": compact_weights(seed=seed)}) for seed in (0, 1)
    ]
    load(name, paths).upscale(rgb, 2)
    assert_tiles([inputs["picture"][0] for inputs in fed], rgb, 36, 1 / 255)


def mobile_sam(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """facebookresearch/segment-anything: utils/transforms.py (the longer side is 1024, Pillow's bilinear
    filter, points scaled like the picture), utils/amg.py (centres of equal cells), utils/onnx.py (a point
    without a box comes with a padding point: label -1). Acly/MobileSAM: the encoder's graph itself
    normalises and pads."""
    encoder = tiny_onnx.constant(
        folder / "encoder.onnx",
        [("input_image", FLOAT, ("h", "w", 3))],
        {"image_embeddings": np.zeros((1, 256, 64, 64))},
    )
    shapes: dict[str, tuple[int | str, ...]] = {
        "image_embeddings": (1, 256, 64, 64),
        "point_coords": (1, "n", 2),
        "point_labels": (1, "n"),
        "mask_input": (1, 1, 256, 256),
        "has_mask_input": (1,),
    }
    decoder = tiny_onnx.constant(
        folder / "decoder.onnx",
        [(port, FLOAT, shape) for port, shape in shapes.items()],
        {
            "masks": np.zeros((1, 4, 8, 8)),
            "iou_predictions": np.zeros((1, 4)),
            "low_res_masks": np.zeros((1, 4, 256, 256)),
        },
    )
    load(name, [encoder, decoder]).segment(rgb)
    height, width = rgb.shape[:2]
    scale = 1024 / max(height, width)
    wide, high = int(width * scale + 0.5), int(height * scale + 0.5)
    (picture,) = (inputs["input_image"] for inputs in fed if "input_image" in inputs)
    assert_same(picture, resampled(rgb, (wide, high), bilinear, 1.0), 1)
    prompts = [inputs for inputs in fed if "point_coords" in inputs]
    cells = (np.arange(16) + 0.5) / 16
    given = sorted(inputs["point_coords"][0, 0].tolist() for inputs in prompts)
    assert np.allclose(given, sorted((x * wide, y * high) for x in cells for y in cells))
    for inputs in prompts:
        assert inputs["point_coords"][0, 1].tolist() == [0, 0]
        assert inputs["point_labels"].tolist() == [[1, -1]]
        assert not inputs["mask_input"].any()
        assert inputs["has_mask_input"].tolist() == [0]


def centerface(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """Star-Clouds/CenterFace, prj-python/centerface.py: RGB in 0..255, sides that are multiples of 32.

    There the picture is stretched to them; here it is enlarged to 400,000 pixels and padded with black, so
    that faces keep their shape. davisking/dlib, dlib/dnn/input.h (input_rgb_image): RGB minus the mean
    (122.782, 117.001, 104.298), divided by 256, of a crop of get_face_chip with padding 0.2.
    """
    faces = face_networks(name, folder)
    faces._detector.detect(rgb)
    height, width = rgb.shape[:2]
    scale = min(2.0, (400_000 / (width * height)) ** 0.5)
    wide, high = round(width * scale), round(height * scale)
    expected = np.zeros((-(-high // 32) * 32, -(-wide // 32) * 32, 3))
    expected[:high, :wide] = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_LINEAR)
    (picture,) = fed[-1].values()
    assert_same(picture, expected.transpose(2, 0, 1)[None], 1, most=0.01)
    assert_age_and_gender(faces, rgb, fed)


def yunet(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """opencv/opencv, modules/objdetect/src/face_detect.cpp (blobFromImage without mean, scale or exchange of
    channels, padded to multiples of 32 with black) and opencv/opencv_zoo, models/face_detection_yunet/demo.py:
    BGR in 0..255, in two sizes, at most 1280 and 320 pixels a side."""
    faces = face_networks(name, folder)
    seen: list[Array] = []
    faces._detector._detector = _Detector(seen)
    faces._detector.detect(rgb)
    height, width = rgb.shape[:2]
    scale = 320 / max(height, width)
    small = cv2.resize(
        rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA
    )
    for given, expected in zip(seen, (rgb, small), strict=True):
        assert np.array_equal(given, np.asarray(expected)[..., ::-1])
    if "fairface" in name:
        assert_fairface(faces, rgb, fed)
    else:
        assert_age_and_gender(faces, rgb, fed)
        assert_expression(faces, rgb, fed)


class _Detector:
    """Stands for OpenCV's class; keeps the pictures and finds nothing."""

    def __init__(self, seen: list[Array]) -> None:
        self._seen = seen

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802 - OpenCV's name
        self._size = size

    def detect(self, bgr: Array) -> tuple[int, None]:
        assert bgr.shape[1::-1] == self._size
        self._seen.append(bgr)
        return 1, None


def face_networks(name: str, folder: Path) -> Any:
    """Return the card's networks, of the published signatures, that find nothing in particular."""
    from models.tiny.faces import make_tiny  # the files of YuNet and FairFace

    make_tiny(folder)
    age = tiny_onnx.constant(
        folder / "age.onnx", [("x", FLOAT, ("n", 3, 64, 64))], {"y": np.full((6, 81), 1 / 81)}
    )
    gender = tiny_onnx.constant(
        folder / "gender.onnx", [("x", FLOAT, ("n", 3, 32, 32))], {"y": np.full((6, 2), 0.5)}
    )
    expression = tiny_onnx.constant(
        folder / "expression.onnx", [("data", FLOAT, (1, 3, 112, 112))], {"label": np.zeros((1, 7))}
    )
    maps = {"heat": 1, "scale": 2, "offset": 2, "landmarks": 10}
    detector = tiny_onnx.constant(
        folder / "centerface.onnx",
        [("input.1", FLOAT, (1, 3, 32, 32))],
        {part: np.zeros((1, count, 8, 8)) for part, count in maps.items()},
    )
    return load(
        name,
        {
            "centerface": [detector, age, gender],
            "yunet-expression": [folder / "yunet.onnx", age, gender, expression],
            "yunet-fairface": [folder / "yunet.onnx", folder / "fairface.onnx"],
        }[name],
    )


class _Finds:
    """Stands for a detector that finds one face."""

    def __init__(self, face: DetectedFace) -> None:
        self._face = face

    def detect(self, rgb: Rgb) -> list[DetectedFace]:
        return [self._face]


def asked(faces: Any, rgb: Rgb, face: DetectedFace, fed: Fed) -> Fed:
    """Return what the networks are fed for a face of the picture."""
    faces._detector = _Finds(face)
    before = len(fed)
    faces.analyse(rgb)
    return fed[before:]


DLIB = np.array([[0.24, 0.208], [0.76, 0.208], [0.5, 0.54], [0.282, 0.782], [0.718, 0.782]])
"""Where a face's eyes, nose and mouth are in the square of get_face_chip without padding; see face_crops.py."""


def assert_age_and_gender(faces: Any, rgb: Rgb, fed: Fed) -> None:
    left, top, side = 90, 100, 50.0
    points = (DLIB * side + (left, top)).astype(np.float32)
    calls = asked(faces, rgb, DetectedFace((left, top, side, side), points, 0.9), fed)
    age, gender = (next(iter(inputs.values())) for inputs in calls[:2])
    mean = np.array([122.782, 117.001, 104.298])
    for values, width, paddings in ((age, 64, (0.1, 0.2, 0.3)), (gender, 32, (0.1, 0.15, 0.2))):
        assert values.shape == (6, 3, width, width)
        for row, padding in enumerate(paddings):
            scale = width / (side * (1 + 2 * padding))
            if scale <= 0.5:
                continue
            chip = sampled(rgb, scale, (left - padding * side, top - padding * side), width)
            expected = ((chip - mean) / 256).transpose(2, 0, 1)
            # OpenCV places its samples to 1/32 of a pixel.
            assert_same(values[row], expected, 1 / 256, most=8)
            assert_same(values[row + 3], expected[:, :, ::-1], 1 / 256, most=8)
    assert 64 / (side * 1.6) > 0.5, "the age crop with the most padding was looked at"


def assert_expression(faces: Any, rgb: Rgb, fed: Fed) -> None:
    """opencv/opencv_zoo, models/facial_expression_recognition/facial_fer_model.py: the five landmarks are
    moved to the template of 112 x 112; RGB, (value / 255 - 0.5) / 0.5. The mirrored face is ours."""
    template = [
        (38.2946, 51.6963),
        (73.5318, 51.5014),
        (56.0252, 71.7366),
        (41.5493, 92.3655),
        (70.7299, 92.2041),
    ]
    left, top = 60, 70
    points = np.add(template, (left, top)).astype(np.float32)
    rect = (left + 10.0, top + 20.0, 90.0, 90.0)
    calls = asked(faces, rgb, DetectedFace(rect, points, 0.9), fed)
    straight, mirrored = (inputs["data"] for inputs in calls if "data" in inputs)
    expected = normalised(rgb[top : top + 112, left : left + 112], HALF)
    assert_same(straight, expected, 1 / 127.5, most=1.5)
    assert_same(mirrored, expected[..., ::-1], 1 / 127.5, most=1.5)


def assert_fairface(faces: Any, rgb: Rgb, fed: Fed) -> None:
    """dchen236/FairFace, predict.py: get_face_chips with padding 0.25 (1.5 times the face), 224 x 224, RGB,
    ImageNet's figures. dlib's own landmarks cannot be had here: the box is that of our detector."""
    left, top = 40, 50
    side = 224 / 1.5
    x, y = left + 112 - side / 2, top + 112 - side / 2
    points = (DLIB * side + (x, y)).astype(np.float32)
    (inputs,) = asked(faces, rgb, DetectedFace((x, y, side, side), points, 0.9), fed)
    (values,) = inputs.values()
    chip = rgb[top : top + 224, left : left + 224]
    assert_same(values, normalised(chip, IMAGENET), _LEVEL, most=2)


def open_nsfw(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """yahoo/open_nsfw, classify_nsfw.py: Pillow's bilinear filter to 256 x 256, JPEG and back, the middle
    224 x 224, BGR minus the mean (104, 117, 123); bhky/opennsfw2, whose file it is, takes the channels last."""
    load(name, []).score(rgb)
    stream = io.BytesIO()
    small = Image.fromarray(rgb).resize((256, 256), Image.Resampling.BILINEAR)
    small.save(stream, "JPEG")
    decoded = np.asarray(Image.open(stream).convert("RGB"), np.float64)[16:240, 16:240]
    expected = np.stack([decoded[..., 2] - 104, decoded[..., 1] - 117, decoded[..., 0] - 123], -1)
    (inputs,) = fed
    (picture,) = inputs.values()
    assert_same(picture, expected[None], 1, most=0.01)


def vit_nsfw(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """AdamCodd/vit-base-nsfw-detector, preprocessor_config.json: 384 x 384, resample 2 (bilinear), mean and
    deviation 0.5."""
    load(name, [tiny_onnx.classifier(folder / "vit.onnx")]).score(rgb)
    (inputs,) = fed
    expected = normalised(resampled(rgb, 384, bilinear, 1.0), HALF)
    assert_same(inputs["pixel_values"], expected, 1 / 127.5)


def florence2(name: str, folder: Path, rgb: Rgb, fed: Fed) -> None:
    """microsoft/Florence-2-base-ft: preprocessor_config.json (square, resample 3: bicubic, ImageNet's
    figures) and processing_florence2.py (the sentence of each task)."""
    model = load(name, make_florence2(folder, objects=(("cat",), ("cat",))))
    if "objects" in name:
        model.detect(rgb)
        sentence = "Locate the objects with category name in the image."
    else:
        model.caption(rgb)
        sentence = "What does the image describe?"
    small = resampled(rgb, FLORENCE_SIDE, bicubic, 2.0)
    assert_same(fed[0]["pixel_values"], normalised(small, IMAGENET), _LEVEL)
    assert fed[1]["input_ids"].tolist() == [make_tokenizer().encode(sentence).ids]


ROWS: dict[str, Row] = {
    "u2netp": u2net,
    "birefnet-onnx": matting,
    "birefnet-lite-512-onnx": matting,
    "birefnet-lite-1024-onnx": matting,
    "rmbg-2-onnx": matting,
    "lama-onnx": lama,
    "migan-onnx": migan,
    "realesr-animevideov3": realesrgan_ncnn,
    "realesrgan-x4plus": realesrgan_ncnn,
    "realesr-general-x4v3-onnx": realesr_general,
    "mobile-sam-onnx": mobile_sam,
    "centerface": centerface,
    "yunet-expression": yunet,
    "yunet-fairface": yunet,
    "open-nsfw": open_nsfw,
    "vit-nsfw-onnx": vit_nsfw,
    "florence2-onnx": florence2,
    "florence2-objects-onnx": florence2,
}


def test_every_card_with_a_network_has_a_row() -> None:
    made_here = {card.name for card in tiny.CARDS}
    cards = {
        card.name for card in CARDS if not card.torch and not card.backend.startswith(_CLASSICAL)
    }
    assert cards - made_here == set(ROWS)


@pytest.mark.parametrize("shape", PICTURES)
@pytest.mark.parametrize("name", ROWS)
def test_a_network_is_fed_what_its_publisher_says(
    name: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = recorded(monkeypatch)
    rgb = PICTURES[shape]
    before = rgb.copy()
    ROWS[name](name, tmp_path, rgb, fed)
    assert np.array_equal(rgb, before)

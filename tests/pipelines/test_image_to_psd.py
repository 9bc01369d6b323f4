import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.PsdImagePlugin import PsdImageFile
from psd_tools import PSDImage

from imaging.picture import Labels, Mask, Matte, Picture, Rgb
from imaging.psd import Layer, write_psd
from models.errors import NothingToCopyError
from models.roles import FACE_ANALYSIS, INPAINTING, MATTING, Face, Inpainting
from models.runtime.pool import Pool
from pipelines.errors import CanvasTooLongError
from pipelines.image_to_psd import image_to_psd
from tests.helpers.fake_models import FakeModels, MeanInpainting

Read = dict[str, tuple[int, int, np.ndarray]]
"""Layers from the lowest: name, and left, top, height x width x 4."""


def unpack_bits(data: bytes, length: int) -> bytes:
    """Return an unpacked PackBits row (TIFF 6.0, section 9)."""
    row, at = bytearray(), 0
    while at < len(data):
        head = data[at]
        if head < 128:
            row += data[at + 1 : at + 2 + head]
            at += 2 + head
        else:
            row += data[at + 1 : at + 2] * (257 - head if head > 128 else 0)
            at += 2 if head > 128 else 1
    assert len(row) == length
    return bytes(row)


def read_plane(file: io.BytesIO, length: int, width: int, height: int) -> np.ndarray:
    end = file.tell() + length
    assert struct.unpack(">H", file.read(2)) == (1,)
    sizes = struct.unpack(f">{height}H", file.read(2 * height))
    rows = [unpack_bits(file.read(size), width) for size in sizes]
    file.seek(end)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width)


def read_layers(psd: bytes) -> Read:
    """Return a PSD's layers, read only by the specification (Adobe Photoshop File Formats)."""
    file = io.BytesIO(psd)
    signature, version, _, _, _, depth, mode = struct.unpack(">4sH6xHIIHH", file.read(26))
    assert (signature, version, depth, mode) == (b"8BPS", 1, 8, 3)
    for _ in range(2):  # colour mode data, image resources
        file.seek(struct.unpack(">I", file.read(4))[0], io.SEEK_CUR)
    _, _, count = struct.unpack(">IIh", file.read(10))
    records = []
    for _ in range(abs(count)):
        top, left, bottom, right, channels = struct.unpack(">4iH", file.read(18))
        planes = [struct.unpack(">hI", file.read(6)) for _ in range(channels)]
        kind, blend, opacity, clipping, flags, extra = struct.unpack(">4s4sBBBxI", file.read(16))
        assert (kind, blend, opacity, clipping, flags & 2) == (b"8BIM", b"norm", 255, 0, 0)
        body = file.read(extra)
        (mask,) = struct.unpack(">I", body[:4])
        (ranges,) = struct.unpack(">I", body[4 + mask : 8 + mask])
        named = 8 + mask + ranges
        name = body[named + 1 : named + 1 + body[named]].decode("mac-roman")
        records.append((name, left, top, right - left, bottom - top, planes))
    layers = {}
    for name, left, top, width, height, planes in records:
        rgba = np.empty((height, width, 4), np.uint8)
        for channel, length in planes:
            rgba[..., channel] = read_plane(file, length, width, height)  # -1 is transparency
        layers[name] = (left, top, rgba)
    return layers


def flatten(layers: Read, height: int, width: int) -> np.ndarray:
    canvas = np.zeros((height, width, 3))
    for left, top, rgba in layers.values():
        part = canvas[top : top + rgba.shape[0], left : left + rgba.shape[1]]
        share = rgba[..., 3:] / 255
        part[:] = share * rgba[..., :3] + (1 - share) * part
    return canvas


class SoftDisc:
    """A matting model whose subject is a disc with a soft edge."""

    def matte(self, rgb: Rgb) -> Matte:
        y, x = np.ogrid[: rgb.shape[0], : rgb.shape[1]]
        matte = np.clip((60 - np.hypot(y - 120, x - 120)) / 16, 0, 1)
        return np.asarray(np.rint(255 * matte), np.uint8)


class Models(FakeModels):
    """Models with the disc as the subject, and the inpainting of a test."""

    def __init__(self, inpainting: Inpainting | None = None) -> None:
        super().__init__({MATTING: SoftDisc(), INPAINTING: inpainting or MeanInpainting()})


@pytest.fixture
def picture() -> Picture:
    noise = np.random.default_rng(5).integers(0, 60, (240, 400, 3))
    rgb = noise + np.array([20, 110, 160])
    y, x = np.ogrid[:240, :400]
    rgb[np.hypot(y - 120, x - 120) < 54] += np.array([150, -60, -100])
    rgb[70:130, 280:350] = (240, 230, 20)
    return Picture(np.clip(rgb, 0, 255).astype(np.uint8))


@pytest.fixture
def labels() -> Labels:
    """A label map: the subject, the ground, an object, a speck, and a part cut by the border."""
    parts = np.full((240, 400), 2, np.uint8)
    parts[70:130, 280:350] = 3
    parts[200:205, 300:305] = 4
    parts[180:, 350:] = 5
    parts[SoftDisc().matte(np.zeros((240, 400, 3), np.uint8)) > 127] = 1
    return parts


def test_each_layer_has_its_position_in_the_picture(picture: Picture, labels: Labels) -> None:
    layers = read_layers(image_to_psd(picture, Models(), labels))
    assert list(layers) == ["Background", "Edges", "Object 1", "Foreground"]
    left, top, background = layers["Background"]
    assert (left, top, background.shape) == (0, 0, (240, 400, 4))
    assert (background[..., 3] == 255).all()
    left, top, thing = layers["Object 1"]
    assert (left, top, thing.shape) == (280, 70, (60, 70, 4))
    assert (thing[..., :3][thing[..., 3] > 0] == (240, 230, 20)).all()
    assert (thing[3:-3, 3:-3, 3] == 255).all()
    left, top, subject = layers["Foreground"]
    assert 60 <= left <= 62
    assert 60 <= top <= 62
    assert subject.shape[0] == subject.shape[1]
    assert subject[40, 40, 3] == 255


class LeftFace:
    """Finds a face in the left half of the disc."""

    def analyse(self, rgb: Rgb, attributes: bool = True) -> list[Face]:
        return [Face((80, 100, 24, 30), np.zeros((5, 2), np.float32), score=1.0, yaw=0.0, roll=0.0)]


def test_each_part_of_the_subject_has_a_layer(picture: Picture, labels: Labels) -> None:
    labels[labels > 1] += 2  # 3 is the whole subject
    labels[:, 120:][labels[:, 120:] == 1] = 2
    models = Models()
    models.given[FACE_ANALYSIS] = LeftFace()
    layers = read_layers(image_to_psd(picture, models, labels))
    assert list(layers) == ["Background", "Edges", "Object 1", "Person 1", "Subject 1"]
    left, _, person = layers["Person 1"]
    assert abs(left + person.shape[1] - 120) < 6  # its soft edge belongs to the nearest part
    right, _, other = layers["Subject 1"]
    assert abs(right - 120) < 6
    assert other[..., 3].max() == person[..., 3].max() == 255
    assert np.abs(flatten(layers, 240, 400) - picture.rgb).max() <= 1


def test_a_piece_among_pieces_and_a_shadow_are_no_objects(picture: Picture, labels: Labels) -> None:
    labels[:180, 350:] = 6  # the yellow box now lies between two parts, like a piece of a wall
    labels[:180, 215:280] = 7
    assert "Object 1" not in read_layers(image_to_psd(picture, Models(), labels))
    labels[labels > 5] = 2
    picture.rgb[70:130, 280:350] = picture.rgb[10:70, 280:350]
    assert "Object 1" not in read_layers(image_to_psd(picture, Models(), labels))


def test_all_layers_together_show_the_picture(picture: Picture, labels: Labels) -> None:
    layers = read_layers(image_to_psd(picture, Models(), labels))
    assert np.abs(flatten(layers, 240, 400) - picture.rgb).max() <= 1


@pytest.mark.parametrize("fill", [(0, 0, 0), (255, 255, 255), (255, 0, 255)])
def test_all_layers_show_the_picture_with_any_background_fill(
    picture: Picture, labels: Labels, fill: tuple[int, int, int]
) -> None:
    class Plain:
        def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
            return np.where(hole[..., None], np.array(fill, np.uint8), rgb)

    layers = read_layers(image_to_psd(picture, Models(Plain()), labels))
    assert np.abs(flatten(layers, 240, 400) - picture.rgb).max() <= 1
    background = layers["Background"][2]
    assert (background[80:120, 290:340, :3] == fill).all()
    assert (background[70:170, 100:140, :3] == fill).all()


def test_the_background_layer_contains_what_was_not_removed(
    picture: Picture, labels: Labels
) -> None:
    background = read_layers(image_to_psd(picture, Models(), labels))["Background"][2]
    for unchanged in (np.s_[:50], np.s_[150:, 200:], np.s_[:, 360:]):
        assert np.array_equal(background[unchanged][..., :3], picture.rgb[unchanged])


def test_the_merged_picture_is_the_picture(picture: Picture, labels: Labels) -> None:
    psd = image_to_psd(picture, Models(), labels)
    merged = Image.open(io.BytesIO(psd))
    assert (merged.format, merged.mode, merged.size) == ("PSD", "RGB", (400, 240))
    assert np.array_equal(np.asarray(merged), picture.rgb)


def test_readers_agree_on_the_layers(picture: Picture, labels: Labels) -> None:
    psd = image_to_psd(picture, Models(), labels)
    layers = read_layers(psd)
    image = Image.open(io.BytesIO(psd))
    assert isinstance(image, PsdImageFile)
    assert [(name, box[:2]) for name, _, box, _ in image.layers] == [
        (name, (left, top)) for name, (left, top, _) in layers.items()
    ]
    for layer in PSDImage.open(io.BytesIO(psd)):
        left, top, rgba = layers[layer.name]
        assert layer.is_visible()
        assert layer.offset == (left, top)
        assert np.array_equal(np.asarray(layer.topil()), rgba)


def test_a_label_map_is_made_if_none_is_given(picture: Picture) -> None:
    models = Models()
    assert "Foreground" in read_layers(image_to_psd(picture, models))
    assert models.use_count > 0  # the segmentation and the faces


def test_a_picture_without_subject_or_objects_is_its_background(picture: Picture) -> None:
    class Empty:
        def matte(self, rgb: Rgb) -> Matte:
            return np.zeros(rgb.shape[:2], np.uint8)

    nothing = FakeModels({MATTING: Empty()})
    layers = read_layers(image_to_psd(picture, nothing, np.ones((240, 400), np.uint8)))
    assert list(layers) == ["Background"]
    assert np.array_equal(layers["Background"][2][..., :3], picture.rgb)


def test_a_cut_out_has_a_foreground_and_a_transparent_background(picture: Picture) -> None:
    alpha = np.zeros((240, 400), np.uint8)
    alpha[50:100, 40:90] = 255
    alpha[100:110, 40:90] = 99
    models = FakeModels()
    psd = image_to_psd(Picture(picture.rgb, alpha), models)
    layers = read_layers(psd)
    assert models.use_count == 0
    assert list(layers) == ["Background", "Foreground"]
    assert not layers["Background"][2].any()
    left, top, subject = layers["Foreground"]
    assert (left, top) == (40, 50)
    assert np.array_equal(subject[..., 3], alpha[50:110, 40:90])
    assert np.array_equal(subject[..., :3], picture.rgb[50:110, 40:90])
    merged = np.asarray(PSDImage.open(io.BytesIO(psd)).topil())
    assert np.array_equal(merged[..., 3], alpha)
    difference = merged[alpha > 0][:, :3].astype(int) - picture.rgb[alpha > 0]
    assert np.abs(difference).max() <= 3  # its partly transparent pixels are on white


def test_round_corners_stay_in_the_background(picture: Picture, labels: Labels) -> None:
    own = np.full((240, 400), 255, np.uint8)
    for corner in (np.s_[:20, :20], np.s_[:20, -20:], np.s_[-20:, :20], np.s_[-20:, -20:]):
        own[corner] = 0
    own[20, 20:60] = 99
    own[120, 120] = 254
    psd = image_to_psd(Picture(picture.rgb, own), Models(), labels)
    layers = read_layers(psd)
    assert list(layers) == ["Background", "Edges", "Object 1", "Foreground"]
    assert np.array_equal(layers["Background"][2][..., 3], own)
    assert layers["Foreground"][2].shape[0] > 100
    assert np.abs(flatten(layers, 240, 400) - picture.rgb * (own / 255)[..., None]).max() <= 1.5
    merged = np.asarray(PSDImage.open(io.BytesIO(psd)).topil())
    assert np.array_equal(merged[..., 3], own)


@pytest.mark.parametrize("level", [255, 254, 127])
def test_a_uniform_alpha_is_in_the_picture_and_in_its_background(
    picture: Picture, labels: Labels, level: int
) -> None:
    own = np.full((240, 400), level, np.uint8)
    layers = read_layers(image_to_psd(Picture(picture.rgb, own), Models(), labels))
    assert ("Foreground" in layers) == (level >= 254)
    assert (layers["Background"][2][..., 3] == level).all()
    assert np.abs(flatten(layers, 240, 400) - picture.rgb * (level / 255)).max() <= 1.5


def test_without_a_fill_the_hole_stays_transparent(picture: Picture, labels: Labels) -> None:
    class Helpless:
        def fill(self, rgb: Rgb, hole: Mask, avoid: Mask | None = None) -> Rgb:
            raise NothingToCopyError

    layers = read_layers(image_to_psd(picture, Models(Helpless()), labels))
    assert layers["Background"][2][120, 120, 3] == 0
    assert np.abs(flatten(layers, 240, 400) - picture.rgb).max() <= 1


def test_a_side_longer_than_the_format_allows_is_refused() -> None:
    models = FakeModels()
    with pytest.raises(CanvasTooLongError):
        image_to_psd(Picture(np.zeros((1, 30_001, 3), np.uint8)), models)
    assert models.use_count == 0


def test_layer_names_may_have_any_letter() -> None:
    square = np.full((3, 5, 3), 9, np.uint8)
    layer = Layer("Café 木", square, np.full((3, 5), 255, np.uint8), 2, 1)
    psd = write_psd(Picture(np.zeros((10, 10, 3), np.uint8)), [layer])
    assert [layer.name for layer in PSDImage.open(io.BytesIO(psd))] == ["Café 木"]


@pytest.mark.slow
def test_a_photograph_has_layers(photo: Callable[[str], Picture], lite: Pool) -> None:
    picture = photo("coffee")
    labels = np.zeros(picture.rgb.shape[:2], np.uint8)
    layers = read_layers(image_to_psd(picture, lite, labels))
    assert list(layers) == ["Background", "Edges", "Foreground"]
    assert np.abs(flatten(layers, picture.height, picture.width) - picture.rgb).max() <= 1

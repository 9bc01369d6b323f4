"""Reading masks of all kinds that editors and libraries make."""

import io
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from imaging.errors import DamagedPictureError, NothingMarkedError, PictureError, UnclearMaskError
from imaging.files.header import probe
from imaging.files.mask import decode_mask
from tests.helpers.places import PHOTOS

Grey = NDArray[np.uint8]
WHITE, BLACK, RED, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 0, 255)


def save(image: Image.Image | NDArray[Any], format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(stream, format, **options)
    return stream.getvalue()


def stroke(left: int = 20, softness: float = 0) -> Grey:
    """Return the opacity of a diagonal brush stroke on a canvas of 160 x 120."""
    image = Image.new("L", (160, 120))
    ImageDraw.Draw(image).line([(left, 25), (left + 90, 95)], fill=255, width=18)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(softness)) if softness else image)


def half(alpha: Grey) -> NDArray[np.bool_]:
    """Return where strokes have at least half of their highest opacity."""
    marked: NDArray[np.bool_] = alpha > (int(alpha.max()) - 1) // 2
    return marked


def painted(*strokes: tuple[tuple[int, int, int], Grey]) -> NDArray[np.uint8]:
    """Return an empty canvas with strokes of a colour and opacity over each other, as a browser saves it."""
    colours, opacity = np.zeros((120, 160, 3)), np.zeros((120, 160, 1))
    for colour, alpha in strokes:
        share = alpha[..., None] / 255
        colours = np.rint(share * colour + (1 - share) * colours)
        opacity = share + (1 - share) * opacity
    straight = np.rint(colours / np.maximum(opacity, 1 / 255)).clip(0, 255)
    return np.dstack([straight, np.rint(255 * opacity)]).astype(np.uint8)


def on_black(*strokes: tuple[tuple[int, int, int], Grey]) -> NDArray[np.uint8]:
    """Return an opaque black picture with hard strokes."""
    rgb = np.zeros((120, 160, 3), np.uint8)
    for colour, alpha in strokes:
        rgb[alpha > 127] = colour
    return rgb


def edited(mask: bytes) -> NDArray[np.bool_]:
    """Return what is edited, after a check that the mask is black and white."""
    read = decode_mask(mask)
    assert read.dtype == np.uint8
    assert set(np.unique(read)) <= {0, 255}
    return read > 0


def photograph(hole: tuple[slice, slice] | None = None, grey: bool = False) -> NDArray[np.uint8]:
    with Image.open(PHOTOS / "coffee.jpg") as opened:
        rgb = np.asarray(opened.convert("L" if grey else "RGB").convert("RGB").resize((240, 160)))
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    if hole:
        alpha[hole] = 0
    return np.dstack([rgb, alpha])


# Modes and formats


@pytest.fixture
def drawing() -> Grey:
    """A mask with hard edges and soft greys."""
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:30] = 255
    mask[5:20, 30] = 100
    mask[5:20, 4] = 140
    return mask


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        *(("PNG", mode) for mode in ("L", "RGB", "P", "LA", "RGBA")),
        *(("WEBP", mode) for mode in ("RGB", "RGBA")),
    ],
)
def test_a_mask_is_read_from_any_mode(drawing: Grey, format: str, mode: str) -> None:
    image = Image.fromarray(drawing).convert(mode)
    assert np.array_equal(edited(save(image, format, lossless=True)), drawing > 127)


def test_a_one_bit_mask_is_black_and_white(drawing: Grey) -> None:
    assert np.array_equal(edited(save(drawing > 127)), drawing > 127)


def test_a_sixteen_bit_mask_is_read(drawing: Grey) -> None:
    assert np.array_equal(edited(save(drawing.astype(np.uint16) * 257)), drawing > 127)


@pytest.mark.parametrize("white", [1, 255, 300, 65535])
def test_a_sixteen_bit_mask_of_small_values_is_read(drawing: Grey, white: int) -> None:
    stored = np.where(drawing > 127, white, 0).astype(np.uint16)
    assert np.array_equal(edited(save(stored)), drawing > 127)


def test_eight_bits_stored_in_sixteen_are_not_scaled(drawing: Grey) -> None:
    assert np.array_equal(edited(save(drawing.astype(np.uint16))), drawing > 127)


def test_a_jpeg_mask_is_read_upright(drawing: Grey) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    mask = edited(save(drawing, "JPEG", quality=100, exif=exif.tobytes()))
    assert mask.shape == (40, 30)
    assert np.array_equal(mask, np.rot90(drawing, 3) > 127)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_mask_is_damage(format: str) -> None:
    whole = save(np.random.default_rng(3).integers(0, 256, (150, 200), np.uint8), format)
    with pytest.raises(DamagedPictureError, match=format):
        decode_mask(whole[: len(whole) // 2])


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_mutated_masks_are_read_or_refused_and_nothing_else(format: str) -> None:
    rng = np.random.default_rng(23)
    canvas = painted((RED, stroke(softness=2)), (BLUE, stroke(40)))
    images = [stroke(softness=3), canvas if format != "JPEG" else canvas[..., :3]]
    seeds = [save(image, format) for image in images]
    for _ in range(200):
        data = bytearray(seeds[rng.integers(len(seeds))])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(3, len(data)))
            data[at : at + int(rng.integers(0, 4))] = rng.bytes(int(rng.integers(0, 4)))
        try:
            found = probe(bytes(data))
            if found.width * found.height <= 1_000_000:
                assert decode_mask(bytes(data)).shape == (found.height, found.width)
        except (PictureError, NothingMarkedError, UnclearMaskError):
            pass


# Levels


@pytest.mark.parametrize(
    ("black", "white"), [(0, 255), (0, 1), (0, 102), (3, 7), (30, 100), (140, 250), (0, 128)]
)
def test_the_higher_of_two_levels_is_white(drawing: Grey, black: int, white: int) -> None:
    mask = np.where(drawing > 127, white, black).astype(np.uint8)
    assert np.array_equal(edited(save(mask)), drawing > 127)


def test_two_levels_with_noise_are_black_and_white() -> None:
    shape = stroke() > 0
    noise = np.random.default_rng(5).integers(-8, 9, shape.shape)
    mask = (np.where(shape, 90, 20) + noise).astype(np.uint8)
    assert np.array_equal(edited(save(mask)), shape)


def test_a_label_of_a_dark_palette_is_white(drawing: Grey) -> None:
    image = Image.fromarray((drawing > 127).astype(np.uint8))
    image = image.copy()
    image.putpalette([0, 0, 0, 128, 0, 0])  # the colours of PASCAL VOC
    assert image.mode == "P"
    assert np.array_equal(edited(save(image)), drawing > 127)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_labels_of_a_few_bits_are_read(bits: int) -> None:
    rows = b"".join(b"\0" + bytes([0x80 >> (bits - 1)]) for _ in range(2))  # the labels 1, 0, ...
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 8 // bits, 2, bits, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )
    mask = edited(data)
    assert mask[:, 0].all()
    assert not mask[:, 1:].any()


def test_other_masks_are_white_above_127() -> None:
    mask = np.array([[0, 50, 127, 128, 200, 255]], np.uint8)
    assert edited(save(mask)).tolist() == [[False, False, False, True, True, True]]


@pytest.mark.parametrize("quality", [30, 75])
def test_ringing_in_a_jpeg_marks_nothing(quality: int) -> None:
    shape = stroke()
    data = save(shape, "JPEG", quality=quality)
    ringing = np.asarray(Image.open(io.BytesIO(data)))
    assert 8 < ringing[cv2.dilate(shape, np.ones((5, 5))) == 0].max() < 127
    mask = edited(data)
    assert not mask[cv2.dilate(shape, np.ones((5, 5))) == 0].any()
    assert mask[cv2.erode(shape, np.ones((5, 5))) > 0].all()


@pytest.mark.parametrize("levels", [(255, 255), (254, 255), (128, 128), (240, 255)])
def test_a_light_mask_marks_everything(levels: tuple[int, int]) -> None:
    assert edited(save(np.array([[*levels], [*levels]], np.uint8))).all()


@pytest.mark.parametrize(
    ("levels", "highest"), [((0, 0), 0), ((100, 100), 100), ((0, 1, 2), 2), ((0, 60, 127), 127)]
)
def test_a_mask_without_white_is_an_error(levels: tuple[int, ...], highest: int) -> None:
    for format in ("PNG", "WEBP"):
        with pytest.raises(NothingMarkedError, match=f"level is {highest} of 255.*White is edited"):
            decode_mask(save(np.array([levels] * 3, np.uint8), format, lossless=True))


def test_a_black_jpeg_is_an_error() -> None:
    with pytest.raises(NothingMarkedError):
        decode_mask(save(np.zeros((40, 50), np.uint8), "JPEG"))


def test_a_brush_of_forty_per_cent_marks_except_with_soft_edges_on_black() -> None:
    hard, soft = (np.rint(0.4 * stroke(softness=s)).astype(np.uint8) for s in (0, 3))
    for mask in (hard, painted((WHITE, hard)), painted((RED, hard))):
        assert np.array_equal(edited(save(mask)), hard > 0)
    for mask in (painted((WHITE, soft)), painted((RED, soft))):
        assert np.array_equal(edited(save(mask)), half(soft))
    with pytest.raises(NothingMarkedError, match="level is 102 of 255"):
        decode_mask(save(soft))


def test_a_faint_brush_that_paints_over_itself_is_marked_as_a_whole() -> None:
    once = np.rint(0.4 * stroke()).astype(np.uint8)
    again = np.where(stroke(40) > 0, 163, once) * (once > 0)
    assert np.array_equal(edited(save(painted((RED, again.astype(np.uint8))))), once > 0)
    with pytest.raises(NothingMarkedError, match="level is 12 of 255"):
        decode_mask(save(painted((RED, np.where(once > 0, 12, 0).astype(np.uint8)))))


@pytest.mark.parametrize("level", [102, 119])
@pytest.mark.parametrize("quality", [20, 50, 75, 85, 90, 95])
def test_a_dark_level_with_the_ringing_of_a_jpeg_is_white(level: int, quality: int) -> None:
    drawn = stroke() > 0
    marked = edited(save(np.where(drawn, level, 0).astype(np.uint8), "JPEG", quality=quality))
    assert (marked == drawn).mean() > 0.97
    assert marked[drawn].mean() > 0.9


def test_two_dark_strokes_on_black_are_not_read_as_one() -> None:
    canvas = on_black((RED, stroke(5)), (BLUE, stroke(60)))
    for file in (save(canvas), save(canvas, "JPEG", quality=95)):
        with pytest.raises(NothingMarkedError):
            decode_mask(file)


# Colours on an opaque canvas


@pytest.mark.parametrize("colour", [WHITE, RED, BLUE, (0, 255, 0)])
@pytest.mark.parametrize("alpha", [None, 255, 128])
def test_strokes_of_one_colour_on_black_are_white(
    colour: tuple[int, int, int], alpha: int | None
) -> None:
    mask = on_black((colour, stroke()))
    if alpha is not None:
        mask = np.dstack([mask, np.full(mask.shape[:2], alpha, np.uint8)])
    assert np.array_equal(edited(save(mask)), stroke() > 0)


def test_strokes_of_two_dark_colours_on_black_are_an_error() -> None:
    with pytest.raises(NothingMarkedError, match="level is 76 of 255"):
        decode_mask(save(on_black((RED, stroke()), (BLUE, stroke(50)))))


def test_one_pixel_that_is_not_quite_opaque_changes_nothing() -> None:
    mask = np.dstack([on_black((WHITE, stroke())), np.full((120, 160), 255, np.uint8)])
    mask[3, 3, 3] = 254
    assert np.array_equal(edited(save(mask)), stroke() > 0)


# Strokes on an empty canvas


@pytest.mark.parametrize("softness", [0, 1, 6])
@pytest.mark.parametrize("colour", [WHITE, BLACK, RED, BLUE, (30, 30, 30), (128, 128, 128)])
def test_strokes_of_one_colour_on_an_empty_canvas_are_the_mask(
    colour: tuple[int, int, int], softness: float
) -> None:
    alpha = stroke(softness=softness)
    canvas = painted((colour, alpha))
    for image in (Image.fromarray(canvas), Image.fromarray(canvas).convert("LA")):
        assert np.array_equal(edited(save(image)), half(alpha))


@pytest.mark.parametrize("softness", [0, 1, 6])
@pytest.mark.parametrize(
    "colours", [(RED, BLUE), (BLACK, RED), (WHITE, RED), ((90, 90, 90), WHITE), (BLUE, BLACK)]
)
def test_strokes_of_two_colours_on_an_empty_canvas_are_the_mask(
    colours: tuple[tuple[int, int, int], ...], softness: float
) -> None:
    for lefts in ((10, 60), (20, 28)):  # apart, and over each other
        alphas = [stroke(left, softness) for left in lefts]
        canvas = painted(*zip(colours, alphas, strict=True))
        assert np.array_equal(edited(save(canvas)), half(canvas[..., 3]))


def test_lossy_strokes_are_the_mask() -> None:
    canvas = painted((RED, stroke(10, 1)), (BLUE, stroke(60, 1)))
    assert np.array_equal(edited(save(canvas, "WEBP", quality=80)), half(canvas[..., 3]))


def test_hidden_colours_do_not_count() -> None:
    alpha = stroke(softness=1)
    for colour in (WHITE, RED):
        mask = np.dstack([np.full((120, 160, 3), colour, np.uint8), alpha])
        assert np.array_equal(edited(save(mask)), half(alpha))
    photo = cv2.resize(photograph(), (160, 120))
    photo[..., :3][alpha > 0] = WHITE
    photo[..., 3] = alpha
    assert np.array_equal(edited(save(photo)), half(alpha))


def test_black_strokes_beside_white_ones_keep() -> None:
    canvas = painted((WHITE, stroke(20)), (BLACK, stroke(50)))
    assert np.array_equal(edited(save(canvas)), (stroke(20) > 0) & (stroke(50) == 0))


def test_transparent_pixels_count_as_black() -> None:
    rgba = np.zeros((1, 4, 4), np.uint8)
    rgba[0, 0] = (255, 255, 255, 255)
    rgba[0, 1] = (0, 0, 0, 255)
    rgba[0, 2] = (255, 255, 255, 0)
    rgba[0, 3] = (255, 255, 255, 51)
    assert edited(save(rgba)).tolist() == [[True, False, False, False]]


def test_a_transparent_label_is_kept(drawing: Grey) -> None:
    image = Image.fromarray((drawing > 127).astype(np.uint8))
    image = image.copy()
    image.putpalette([0, 0, 0, 20, 40, 60])
    assert np.array_equal(edited(save(image, transparency=bytes([0, 255]))), drawing > 127)


def test_white_around_a_transparent_middle_is_edited() -> None:
    mask = np.full((90, 120, 4), 255, np.uint8)
    mask[20:70, 30:90] = 0
    assert np.array_equal(edited(save(mask)), mask[..., 3] > 0)


@pytest.mark.parametrize("hidden", [BLACK, WHITE])
def test_an_empty_canvas_is_an_error(hidden: tuple[int, int, int]) -> None:
    with pytest.raises(NothingMarkedError, match="completely transparent"):
        decode_mask(save(Image.new("RGBA", (40, 30), (*hidden, 0))))


def test_an_almost_transparent_canvas_is_an_error() -> None:
    mask = np.zeros((30, 40, 4), np.uint8)
    mask[5:9, 5:9, 3] = 2
    with pytest.raises(NothingMarkedError, match="level is 2 of 255"):
        decode_mask(save(mask))


# Pictures with a hole


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize(
    "hole",
    [np.s_[40:120, 80:160], np.s_[70:74, 100:104], np.s_[0:160, 0:100], np.s_[5:160, 8:240]],
    ids=["middle", "tiny", "side", "most"],
)
def test_a_photograph_with_a_hole_is_an_error(hole: tuple[slice, slice], grey: bool) -> None:
    with pytest.raises(UnclearMaskError, match="transparent hole"):
        decode_mask(save(photograph(hole, grey)))


def test_an_object_cut_out_of_a_photograph_is_an_error() -> None:
    image = photograph()
    image[..., 3] = cv2.circle(np.zeros((160, 240), np.uint8), (120, 80), 60, 255, -1)
    with pytest.raises(UnclearMaskError):
        decode_mask(save(image))


@pytest.mark.parametrize("alpha", [255, 102, 1])
def test_a_black_canvas_with_a_hole_is_an_error(alpha: int) -> None:
    mask = np.zeros((90, 120, 4), np.uint8)
    mask[..., 3] = alpha
    mask[20:70, 30:90, 3] = 0
    with pytest.raises(UnclearMaskError):
        decode_mask(save(mask))


def test_a_drawing_of_two_colours_with_a_hole_is_an_error() -> None:
    mask = np.full((90, 120, 4), (200, 220, 240, 255), np.uint8)
    mask[20:70, 30:60] = (200, 40, 90, 255)
    mask[30:60, 70:110, 3] = 0
    with pytest.raises(UnclearMaskError):
        decode_mask(save(mask))


@pytest.mark.parametrize(
    "colour", [(135, 206, 235), (255, 180, 0), (252, 255, 255), (200, 200, 200)]
)
def test_a_plain_backdrop_with_a_hole_is_an_error(colour: tuple[int, int, int]) -> None:
    canvas = np.full((120, 160, 4), (*colour, 255), np.uint8)
    canvas[40:80, 50:110, 3] = 0
    with pytest.raises(UnclearMaskError, match="transparent hole"):
        decode_mask(save(canvas))


def test_a_canvas_of_which_half_is_clear_is_an_error_unless_it_is_white() -> None:
    canvas = np.zeros((120, 160, 4), np.uint8)
    canvas[:60, :, 3] = 255
    with pytest.raises(UnclearMaskError):
        decode_mask(save(canvas))
    canvas[..., :3] = 255
    assert np.array_equal(edited(save(canvas)), canvas[..., 3] > 0)


def test_a_product_on_white_with_a_hole_is_an_error() -> None:
    mask = np.full((200, 300, 4), 255, np.uint8)
    mask[60:150, 100:200, 3] = 0
    mask[150:153, 100:200] = (225, 225, 225, 255)  # its shadow, 0.5 % of the picture
    with pytest.raises(UnclearMaskError):
        decode_mask(save(mask))

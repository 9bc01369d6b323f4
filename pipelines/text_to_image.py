"""Text to image: pictures of what words describe, at a resolution and a ratio of width to height."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Literal, get_args

from imaging.picture import Picture
from imaging.resize import Size, resize
from models.roles import SUPER_RESOLUTION, Models
from pipelines.edit_by_words import Words, pictures_by_words, size_of_ratio

Resolution = Literal["1MP", "HD", "4MP"]
Medium = Literal["photography", "art"]
Guide = Literal[
    "controlnet_canny",
    "controlnet_depth",
    "controlnet_recoloring",
    "controlnet_color_grid",
    "regular",
    "style_only",
]
"""What a picture beside the prompt is for: the API's guidance methods, and its modes of an image prompt."""
GUIDES: tuple[str, ...] = get_args(Guide)

_LONGEST = Fraction(5)
_HD_SQUARE: Size = (1536, 1536)
"""The API's page names this size for 1:1, and 1920 x 1080 for 16:9."""
_AREAS: Mapping[Resolution, int] = MappingProxyType({"1MP": 1024 * 1024, "HD": 1920 * 1080})
_MEDIA: Mapping[Medium, str] = MappingProxyType(
    {"photography": "It is a photograph.", "art": "It is a work of art, not a photograph."}
)
_GUIDANCE: Mapping[Guide, str] = MappingProxyType(
    {
        "controlnet_canny": "Keep the outlines of image {}.",
        "controlnet_depth": "Keep the perspective of image {} and the distance of all things in it.",
        "controlnet_recoloring": "Keep the shapes and the shading of image {}, and choose new colours.",
        "controlnet_color_grid": "Use the colours of image {}, each where it is there.",
        "regular": "Show what image {} shows, in its style.",
        "style_only": "Use the style of image {}, and nothing that it shows.",
    }
)


def result_size(ratio: Fraction, resolution: Resolution = "1MP") -> Size:
    """Return the width and height in pixels of a result.

    ratio: of width to height; 5 to 1 and 1 to 5 are the longest results. 4MP is twice the width and the
    height of 1MP.
    """
    if resolution == "4MP":
        width, height = result_size(ratio)
        return 2 * width, 2 * height
    if resolution == "HD" and ratio == 1:
        return _HD_SQUARE
    return size_of_ratio(_AREAS[resolution], min(max(ratio, 1 / _LONGEST), _LONGEST))


def full_prompt(prompt: str, medium: Medium | None = None, guides: Sequence[Guide] = ()) -> str:
    """Return a prompt with what else its caller chose, in sentences.

    medium: None leaves it to the prompt. guides: what each picture beside the prompt is for, in the order
    of the pictures, which the sentences call image 1, image 2 and so on.
    """
    sentences = [] if medium is None else [_MEDIA[medium]]
    sentences += [_GUIDANCE[guide].format(number) for number, guide in enumerate(guides, 1)]
    text = prompt.strip()
    if sentences and text and text[-1] not in ".!?":
        text += "."
    return " ".join([text, *sentences])


def text_to_image(
    models: Models,
    words: Words,
    seeds: Sequence[int],
    size: Size,
    pictures: Sequence[Picture] = (),
) -> list[Picture]:
    """Return one opaque picture of `size` (width, height) for each seed, of what the words describe.

    pictures: what the words call image 1, image 2 and so on; the model sees them over white. The model makes
    at most a megapixel; a larger result is enlarged by the profile's super-resolution model, or resampled
    without one. The same call gives the same pictures, bit for bit. Raises RoleNotInProfileError without an
    instruction-editing model.
    """
    most = _AREAS["1MP"]
    own = size if size[0] * size[1] <= most else size_of_ratio(most, Fraction(*size))
    made = pictures_by_words(models, words, seeds, own, pictures)
    return [_enlarged(picture, size, models) for picture in made]


def _enlarged(picture: Picture, size: Size, models: Models) -> Picture:
    """Return a picture at `size`, which is at most about twice as wide and twice as high."""
    rgb = picture.rgb
    if size != (picture.width, picture.height) and models.offers(SUPER_RESOLUTION):
        with models.use(SUPER_RESOLUTION) as model:
            rgb = model.upscale(rgb, 2)
    return Picture(resize(rgb, size))

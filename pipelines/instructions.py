"""The one table of the edits that have a name: an edit and its value become an instruction in English.

An instruction says what changes, and that all else stays: models that edit by words also change what nobody
speaks of. The values are those of Bria's API, version 2, and the spellings that programs send for them; the
sentences are our own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Edit = Literal[
    "add_object_by_text",
    "replace_object_by_text",
    "erase_by_text",
    "blend",
    "rewrite_text",
    "reseason",
    "relight",
    "light_direction",
    "restyle",
    "colorize",
    "sketch_to_colored_image",
    "restore",
    "integrate",
    "holding",
    "virtual-tryon",
]
"""A named edit; `light_direction` is the second value of relight."""

_FRAME = "the composition, the framing, the camera angle, and the pose and identity of everyone"
_ELSE = f"Keep everything else exactly as it is: {_FRAME}, all other objects, the colours and the light."
_SCENE = f"Keep the scene itself: {_FRAME}, and every object in its place."
_MATTER = f"Keep {_FRAME}, and every object with its shape, its material and its text."


@dataclass(frozen=True)
class Phrase:
    """How the instruction of an edit is worded.

    text: the instruction; {} stands for the words for its value. values: by documented value, these words.
    others: spellings that programs send, as `plain` returns them, by the documented value that each
    means. is_free: whether any other text is a value too; it stands for itself.
    """

    text: str
    values: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, str] = field(default_factory=dict)
    is_free: bool = False


TABLE: Mapping[Edit, Phrase] = {
    "add_object_by_text": Phrase(
        "{} What is new has the perspective, the scale, the light and the shadows of the scene. "
        + _ELSE,
        is_free=True,
    ),
    "replace_object_by_text": Phrase(
        "{} What is new has the place, the scale, the perspective, the light and the shadows of what it"
        " replaces. " + _ELSE,
        is_free=True,
    ),
    "erase_by_text": Phrase(
        "Remove {} from the picture, with its shadow and its reflection. Continue there what is behind it,"
        " and put nothing new in its place. " + _ELSE,
        is_free=True,
    ),
    "blend": Phrase(
        "{} What is blended in follows the shape, the folds, the texture, the perspective and the light of"
        " its place in image 1. " + _ELSE,
        is_free=True,
    ),
    "rewrite_text": Phrase(
        'Replace the text that is written in the picture by exactly this: "{}" Keep its place, size, font,'
        " colour, material and effects. " + _ELSE,
        is_free=True,
    ),
    "reseason": Phrase(
        "Change the season of the picture to {}. Change plants, ground, sky, weather and light to match. "
        + _SCENE,
        {
            "spring": "spring: fresh leaves, blossoms and flowers, clear mild light",
            "summer": "summer: full green leaves, a bright sky and strong warm sunlight",
            "autumn": "autumn: red, orange and yellow leaves, some of them fallen, low golden light",
            "winter": "winter: snow on the ground and on what faces the sky, bare trees, cold light",
        },
        {"fall": "autumn"},
        is_free=True,
    ),
    "relight": Phrase(
        "Change only the light of the picture, to {}. Change highlights, shadows, reflections and the colour"
        " of the light to match. " + _MATTER,
        {
            "midday": "midday sun: high, white and strong, with short hard shadows",
            "blue hour light": "the blue hour after sunset: cool, dim and even under a deep blue sky",
            "low-angle sunlight": "low sunlight: warm and golden, with long shadows",
            "sunrise light": "sunrise: soft, low, pink and golden",
            "spotlight on subject, keep background settings": "a spotlight on the subject, while the"
            " background and its light stay as they are",
            "overcast light": "an overcast sky: grey, flat and even, almost without shadows",
            "soft overcast daylight lighting": "soft daylight under thin clouds: bright and neutral, with"
            " very soft shadows",
            "cloud-filtered lighting": "sunlight through broken clouds: soft patches of light and shade",
            "fog-diffused lighting": "light that fog scatters: pale, with the distance veiled",
            "moonlight lighting": "moonlight: night, cold bluish light and deep shadows",
            "starlight lighting nighttime": "starlight: a dark night and a faint cool light",
            "soft bokeh lighting": "soft light, with blurred points of warm light in the background",
            "harsh studio lighting keep background setting": "a hard studio light on the subject: crisp"
            " shadows and bright highlights, while the background stays",
            "side lighting": "light from the side, with the other side in shade",
        },
        {
            "spotlight on subject": "spotlight on subject, keep background settings",
            "starlight nighttime": "starlight lighting nighttime",
            "harsh studio lighting": "harsh studio lighting keep background setting",
        },
    ),
    "light_direction": Phrase(
        "The light comes from {}.",
        {
            "front": "the front, where the camera is",
            "side": "one side",
            "bottom": "below",
            "top-down": "above",
        },
    ),
    "restyle": Phrase(
        "Redraw the whole picture in this style: {}. " + _MATTER,
        {
            "render_3d": "a rendered 3D scene, with smooth modelled shapes and soft global light",
            "cubism": "a cubist painting, with shapes broken into flat facets",
            "oil_painting": "an oil painting on canvas, with visible thick brush strokes",
            "anime": "Japanese anime, with clean outlines and flat shading",
            "cartoon": "a cartoon, with bold outlines, simple shapes and bright flat colours",
            "coloring_book": "a page of a colouring book: black outlines on white, nothing filled in",
            "retro_ad": "a printed advertisement of the 1950s, with faded inks and painted shapes",
            "pop_art_halftone": "pop art, with strong flat colours and halftone dots",
            "vector_art": "flat vector art, with clean edges and few colours",
            "story_board": "a storyboard sketch in pencil and grey wash",
            "art_nouveau": "an Art Nouveau poster, with flowing lines and ornament",
            "cross_etching": "an etching in ink, shaded by cross-hatching",
            "wood_cut": "a woodcut print, with coarse carved lines in black",
        },
        {"3d render": "render_3d", "woodcut": "wood_cut", "storyboard": "story_board"},
        is_free=True,
    ),
    "colorize": Phrase(
        "Give the picture these colours: {}. Change nothing but colours. " + _MATTER,
        {
            "color_contemporary": "natural ones, as a modern camera would take them, with true skin, plants"
            " and sky",
            "color_vivid": "vivid ones, rich and saturated, with true skin",
            "black_and_white": "black and white, with a full range of greys",
            "sepia_vintage": "the brown tones of an old sepia print",
        },
        {
            "contemporary color": "color_contemporary",
            "contemporary": "color_contemporary",
            "vivid color": "color_vivid",
            "vivid": "color_vivid",
            "black and white colors": "black_and_white",
            "bw": "black_and_white",
            "sepia": "sepia_vintage",
            "vintage sepia": "sepia_vintage",
        },
    ),
    "sketch_to_colored_image": Phrase(
        "Turn this sketch into a coloured photograph{}. Follow its lines: every shape, its place and its"
        f" proportions stay, and so do {_FRAME}. Materials, colours, light and shadows look real.",
        {"": ""},
        is_free=True,
    ),
    "restore": Phrase(
        "Restore this old photograph: remove scratches, dust, stains, creases, noise and blur, repair what is"
        " torn or missing, and bring back faded contrast and colours. A black and white photograph stays"
        " black and white. " + _MATTER,
        {"": ""},
    ),
    "integrate": Phrase(
        "A product has been put into this scene. Blend it in: give the surface that it stands on its shadow"
        " and its reflection, in the direction, the colour and the softness of the light of the scene."
        " Keep the product with its shape, colours and text. " + _ELSE,
        {"": ""},
    ),
    "holding": Phrase(
        "The person in image 1 holds what is shown in {}, at its natural size, with fingers that close around"
        " it. It keeps its shape, colours, material and text. Keep the identity, the face, the hair, the"
        " clothes and the background of the person in image 1.",
        is_free=True,
    ),
    "virtual-tryon": Phrase(
        "The person in image 1 wears what is shown in {}, instead of the clothes that it replaces. It keeps"
        " its cut, colours, pattern, material and text, and fits the body with natural folds. Keep the"
        " identity, the face, the hair, the pose and the background of the person in image 1.",
        is_free=True,
    ),
}


def documented(edit: Edit, value: str) -> str:
    """Return the documented value that a text means; the text itself where other texts are values too.

    Capitals, hyphens, underscores and other marks make no difference. Raises ValueError, which lists the
    values.
    """
    phrase, sent = TABLE[edit], plain(value)
    for known in phrase.values:
        if plain(known) == sent:
            return known
    if sent in phrase.others:
        return phrase.others[sent]
    if phrase.is_free and value.strip():
        return value.strip()
    raise ValueError(f"the possible values are {', '.join(filter(None, phrase.values))}")


def plain(value: str) -> str:
    """Return a text in small letters, its words divided by single spaces, without other marks."""
    return " ".join(re.findall(r"\w+", value.casefold().replace("_", " ")))


def instruction(edit: Edit, value: str = "") -> str:
    """Return the instruction for an edit. value: as `documented` accepts it. Raises ValueError."""
    phrase = TABLE[edit]
    known = documented(edit, value)
    words = phrase.values[known] if known in phrase.values else _of_free_text(edit, known)
    return phrase.text.format(words)


def _of_free_text(edit: Edit, value: str) -> str:
    """Return free text as its edit needs it: a command ends its sentence, a description is inside one."""
    if edit == "rewrite_text":
        return value
    if edit in ("add_object_by_text", "replace_object_by_text", "blend"):
        return value if value[-1] in ".!?" else f"{value}."
    described = value.rstrip(".") or value
    return f" of this: {described}" if edit == "sketch_to_colored_image" else described


def relit(light_type: str, light_direction: str | None) -> str:
    """Return the instruction for relight; raises ValueError."""
    told = instruction("relight", light_type)
    if light_direction is None:
        return told
    return f"{told} {instruction('light_direction', light_direction)}"


def with_pictures(edit: Literal["holding", "virtual-tryon"], count: int, wish: str) -> str:
    """Return the instruction for a person and `count` further pictures. wish: of the caller; may be empty."""
    names = [f"image {number}" for number in range(2, count + 2)]
    told = instruction(edit, " and ".join(names))
    return f"{told} {wish}".strip()

"""Find the one plain colour that a background prompt asks for."""

import re

from PIL import ImageColor

Colour = tuple[int, int, int]
"""sRGB, 0..255 each."""

_NUMBER = r"(\d{1,3}(?:\.\d{1,6})?)(%?)"
_SEPARATOR = r"(?: ?, ?| )"
_RGB = re.compile(
    rf"\brgba?(?: ?[:(])? ?{_NUMBER}{_SEPARATOR}{_NUMBER}{_SEPARATOR}{_NUMBER}"
    r"(?: ?[,/] ?(?:1(?:\.0{1,6})?|100%|255))?(?! ?[,/%.\d])(?: ?\))?"
)
_HSL = re.compile(r"\bhs[lvb]\( ?\d{1,3} ?, ?\d{1,3}% ?, ?\d{1,3}% ?\)")
_HEX = re.compile(r"(?:#|\b0x)([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b")
# Six hexadecimal digits without `#` must include a decimal digit; otherwise they may be a word.
_BARE_HEX = re.compile(r"\b(?=[a-f]{0,5}\d)([0-9a-f]{6})\b")
_MAX_NAME_WORDS = 4  # words: light golden rod yellow
_MAX_WORDS = 40


def _words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# Words that show that the prompt is about a colour; none of them names a visible object.
_COLOUR_WORDS = _words("""
    colour color colours colors coloured colored solid plain uniform flat pure monochrome
    monochromatic single shade tone tint hue background bg backdrop
""")
# All words that a prompt for a plain colour may have besides the colour itself.
_NEUTRAL_WORDS = _COLOUR_WORDS | _words("""
    a an the this that it its of in on with at as for to into by from against before behind front
    is be being should must please i we want need would like
    make set use change replace put place add give have turn fill
    image picture photo photograph photography subject product
    studio seamless clean simple minimal minimalist minimalistic blank empty smooth even opaque
    bright vivid vibrant very just only one full whole entire entirely completely totally all
    hex hexadecimal html css rgb rgba code value named called screen
""")
# CSS names that are also objects: "on linen" is a scene; "a linen background" and "linen" alone are
# colours.
_OBJECT_NAMES = _words("""
    blanchedalmond burlywood chocolate coral cornsilk firebrick gold honeydew lavender lemonchiffon
    lime linen mintcream mistyrose moccasin oldlace olive orchid papayawhip peachpuff peru plum
    salmon seashell silver snow thistle tomato wheat whitesmoke
""")
# A CSS name followed by its colour family, as people write it, and the name that CSS knows.
_NAMES_WITH_FAMILY = {
    "aquablue": "aqua",
    "azureblue": "azure",
    "chocolatebrown": "chocolate",
    "coralpink": "coral",
    "crimsonred": "crimson",
    "indigoblue": "indigo",
    "ivorywhite": "ivory",
    "jetblack": "black",
    "lavenderpurple": "lavender",
    "maroonred": "maroon",
    "navyblue": "navy",
    "olivegreen": "olive",
    "orchidpink": "orchid",
    "plumpurple": "plum",
    "salmonpink": "salmon",
    "silvergray": "silver",
    "silvergrey": "silver",
    "snowwhite": "snow",
    "tealblue": "teal",
    "tealgreen": "teal",
    "turquoiseblue": "turquoise",
    "violetpurple": "violet",
}
# Modifiers that CSS has for few colours, and the modifier that is used where CSS has no such name.
_MODIFIER_SYNONYMS = {"pale": "light", "soft": "light", "deep": "dark"}


def find_colour(prompt: str) -> Colour | None:
    """Return the colour that `prompt` asks for, or None if it asks for a scene.

    A colour is `#rgb`, `#rrggbb` (alpha digits must be opaque), six hexadecimal digits without `#`
    that include a decimal digit, `rgb()`, an opaque `rgba()`, `hsl()`, `hsv()`, or a name of CSS
    Color Module Level 4, in one word or several ("dark olive green", "dark-blue"). All other words
    must be neutral ("a plain ... studio backdrop"). The result is None for two different colours. A
    numeric colour takes precedence over a name: "light grey (#f5f5f5)".
    """
    # With single spaces only, the patterns below take time linear in the length of the prompt.
    numeric, text = _extract_numeric(" ".join(prompt.lower().split()))
    words = re.findall(r"[^\W_]+", text)
    if len(words) > _MAX_WORDS:
        return None
    names, others = _extract_names(words)
    if not _NEUTRAL_WORDS.issuperset(others):
        return None
    is_colour_request = numeric or not others or _COLOUR_WORDS.intersection(others)
    if not is_colour_request and _OBJECT_NAMES.intersection(names):
        return None
    found = numeric or {_parse_colour(name) for name in names}
    return found.pop() if len(found) == 1 else None


def _extract_numeric(text: str) -> tuple[set[Colour], str]:
    """Return the numeric colours in a text, and the text without them."""
    found: set[Colour] = set()

    def rgb(match: re.Match[str]) -> str:
        groups = match.groups()
        values = [float(groups[i]) * (255 / 100 if groups[i + 1] else 1) for i in (0, 2, 4)]
        red, green, blue = (min(255, int(value + 0.5)) for value in values)
        found.add((red, green, blue))
        return " "

    def hsl(match: re.Match[str]) -> str:
        found.add(_parse_colour(re.sub(r"\s", "", match.group())))
        return " "

    def hexadecimal(match: re.Match[str]) -> str:
        digits = match.group(1)
        size = 1 if len(digits) < 6 else 2
        if digits[3 * size :] not in ("", "f" * size):
            return (
                match.group()
            )  # not opaque: the digits stay in the text, so the prompt is a scene
        found.add(_parse_colour(f"#{digits[: 3 * size]}"))
        return " "

    for pattern, extract in (
        (_RGB, rgb),
        (_HSL, hsl),
        (_HEX, hexadecimal),
        (_BARE_HEX, hexadecimal),
    ):
        text = pattern.sub(extract, text)
    return found, text


def _extract_names(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the CSS names in `words`, the longest at each position, and the remaining words."""
    names, others = [], []
    at = 0
    while at < len(words):
        for count in range(min(_MAX_NAME_WORDS, len(words) - at), 0, -1):
            if name := _css_name(words[at : at + count]):
                names.append(name)
                break
        else:
            others.append(words[at])
            count = 1
        at += count
    return names, others


def _css_name(words: list[str]) -> str | None:
    """Return the CSS name that `words` form, or None."""
    joined = "".join(words)
    with_synonym = _MODIFIER_SYNONYMS.get(words[0], words[0]) + "".join(words[1:])
    for name in (joined, _NAMES_WITH_FAMILY.get(joined, joined), with_synonym):
        if name in ImageColor.colormap:
            return name
    return None


def _parse_colour(specifier: str) -> Colour:
    """Return the colour of a CSS specifier that Pillow can parse."""
    red, green, blue = ImageColor.getrgb(specifier)[:3]
    return red, green, blue

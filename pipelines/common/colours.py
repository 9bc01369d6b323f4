"""Finds the one plain colour that a background prompt asks for."""

import re

from PIL import ImageColor

Colour = tuple[int, int, int]
"""sRGB, 0..255 each."""

_NUMBER = r"(\d{1,3}(?:\.\d{1,6})?)(%?)"
_BETWEEN = r"(?: ?, ?| )"
_RGB = re.compile(
    rf"\brgba?(?: ?[:(])? ?{_NUMBER}{_BETWEEN}{_NUMBER}{_BETWEEN}{_NUMBER}"
    r"(?: ?[,/] ?(?:1(?:\.0{1,6})?|100%|255))?(?! ?[,/%.\d])(?: ?\))?"
)
_HSL = re.compile(r"\bhs[lvb]\( ?\d{1,3} ?, ?\d{1,3}% ?, ?\d{1,3}% ?\)")
_HEX = re.compile(r"(?:#|\b0x)([0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b")
# Six hexadecimal digits with a decimal one among them are no English word.
_BARE_HEX = re.compile(r"\b(?=[a-f]{0,5}\d)([0-9a-f]{6})\b")
_LONGEST_NAME = 4  # words: light golden rod yellow
_MOST_WORDS = 40


def _words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


# What a prompt may say about a plain colour without naming anything to be seen.
_SAYS_COLOUR = _words("""
    colour color colours colors coloured colored solid plain uniform flat pure monochrome
    monochromatic single shade tone tint hue background bg backdrop
""")
_NEUTRAL = _SAYS_COLOUR | _words("""
    a an the this that it its of in on with at as for to into by from against before behind front
    is be being should must please i we want need would like
    make set use change replace put place add give have turn fill
    image picture photo photograph photography subject product
    studio seamless clean simple minimal minimalist minimalistic blank empty smooth even opaque
    bright vivid vibrant very just only one full whole entire entirely completely totally all
    hex hexadecimal html css rgb rgba code value named called screen
""")
# CSS names of things: "on linen" is a scene, "a linen background" and "linen" alone are colours.
_THINGS = _words("""
    blanchedalmond burlywood chocolate coral cornsilk firebrick gold honeydew lavender lemonchiffon
    lime linen mintcream mistyrose moccasin oldlace olive orchid papayawhip peachpuff peru plum
    salmon seashell silver snow thistle tomato wheat whitesmoke
""")
# A name and the family it belongs to, as people say it; CSS knows the name alone.
_SAID_TWICE = {
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
# CSS has few colours of a modifier: where it has none, the nearest modifier that it has stands in.
_STANDS_IN = {"pale": "light", "soft": "light", "deep": "dark"}


def find_colour(prompt: str) -> Colour | None:
    """Return the colour that `prompt` asks for, or None when it asks for a scene.

    A colour is `#rgb`, `#rrggbb` (opaque with alpha digits), six bare hexadecimal digits with a
    decimal one among them, `rgb()`, `rgba()` when opaque, `hsl()`, `hsv()`, or one of the names of
    CSS Color Module Level 4, in one word or several ("dark olive green", "dark-blue"). Every other
    word must say nothing of a scene ("a plain ... studio backdrop"); two colours are none. A colour
    in figures goes before a name beside it: "light grey (#f5f5f5)".
    """
    # Single spaces keep the patterns below linear in the length of the prompt.
    figures, text = _take_figures(" ".join(prompt.lower().split()))
    words = re.findall(r"[^\W_]+", text)
    if len(words) > _MOST_WORDS:
        return None
    names, others = _take_names(words)
    if not _NEUTRAL.issuperset(others):
        return None
    is_said = figures or not others or _SAYS_COLOUR.intersection(others)
    if not is_said and _THINGS.intersection(names):
        return None
    found = figures or {_named(name) for name in names}
    return found.pop() if len(found) == 1 else None


def _take_figures(text: str) -> tuple[set[Colour], str]:
    """Return the colours in figures, and the text without them."""
    found: set[Colour] = set()

    def rgb(match: re.Match[str]) -> str:
        groups = match.groups()
        values = [float(groups[i]) * (255 / 100 if groups[i + 1] else 1) for i in (0, 2, 4)]
        red, green, blue = (min(255, int(value + 0.5)) for value in values)
        found.add((red, green, blue))
        return " "

    def hsl(match: re.Match[str]) -> str:
        found.add(_named(re.sub(r"\s", "", match.group())))
        return " "

    def hexadecimal(match: re.Match[str]) -> str:
        digits = match.group(1)
        size = 1 if len(digits) < 6 else 2
        if digits[3 * size :] not in ("", "f" * size):
            return match.group()  # a background is not translucent: let the digits be refused
        found.add(_named(f"#{digits[: 3 * size]}"))
        return " "

    for pattern, take in ((_RGB, rgb), (_HSL, hsl), (_HEX, hexadecimal), (_BARE_HEX, hexadecimal)):
        text = pattern.sub(take, text)
    return found, text


def _take_names(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the CSS names in `words`, the longest first at each place, and the words left over."""
    names, others = [], []
    at = 0
    while at < len(words):
        for count in range(min(_LONGEST_NAME, len(words) - at), 0, -1):
            if name := _name(words[at : at + count]):
                names.append(name)
                break
        else:
            others.append(words[at])
            count = 1
        at += count
    return names, others


def _name(words: list[str]) -> str | None:
    """Return the CSS name that `words` make, if they make one."""
    joined = "".join(words)
    standing_in = _STANDS_IN.get(words[0], words[0]) + "".join(words[1:])
    for name in (joined, _SAID_TWICE.get(joined, joined), standing_in):
        if name in ImageColor.colormap:
            return name
    return None


def _named(specifier: str) -> Colour:
    """Return the colour of a CSS specifier that Pillow reads."""
    red, green, blue = ImageColor.getrgb(specifier)[:3]
    return red, green, blue

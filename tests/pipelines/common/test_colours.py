import pytest
from PIL import ImageColor

from pipelines.common.colours import find_colour

WHITE = (255, 255, 255)


@pytest.mark.parametrize(
    ("prompt", "colour"),
    [
        ("#f00", (255, 0, 0)),
        ("#FF8000", (255, 128, 0)),
        ("solid #ff0000", (255, 0, 0)),
        ("#ff0000ff", (255, 0, 0)),
        ("#f00f", (255, 0, 0)),
        ("0x102030", (16, 32, 48)),
        ("hex code FF00aa", (255, 0, 170)),
        ("rgb(10, 20, 30)", (10, 20, 30)),
        ("RGB: 10, 20, 30", (10, 20, 30)),
        ("rgb 10 20 30", (10, 20, 30)),
        ("rgb(10 20 30)", (10, 20, 30)),
        ("rgb( 10% , 20% , 30% )", (26, 51, 77)),
        ("rgb(300, 0, 0)", (255, 0, 0)),
        ("rgba(10, 20, 30, 1)", (10, 20, 30)),
        ("on a background of rgb(1,2,3)", (1, 2, 3)),
        ("hsl( 120, 100%, 50% )", (0, 255, 0)),
    ],
)
def test_hex_and_rgb_values_are_colours(prompt: str, colour: tuple[int, int, int]) -> None:
    assert find_colour(prompt) == colour


@pytest.mark.parametrize("name", sorted(ImageColor.colormap))
def test_every_css_name_is_a_colour(name: str) -> None:
    expected = ImageColor.getrgb(name)
    assert find_colour(name) == expected
    assert find_colour(f"A plain {name.upper()} background.") == expected
    assert find_colour(f"color: {name};") == expected


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("dark blue", "darkblue"),
        ("dark-blue backdrop", "darkblue"),
        ("light grey", "lightgray"),
        ("pale blue", "lightblue"),
        ("pale green", "palegreen"),
        ("deep pink", "deeppink"),
        ("deep red", "darkred"),
        ("sky blue", "skyblue"),
        ("navy blue", "navy"),
        ("snow white background", "snow"),
        ("dark olive green", "darkolivegreen"),
        ("light golden rod yellow", "lightgoldenrodyellow"),
        ("solid forest green", "forestgreen"),
    ],
)
def test_names_may_be_written_as_several_words(prompt: str, name: str) -> None:
    assert find_colour(prompt) == ImageColor.getrgb(name)


@pytest.mark.parametrize(
    "prompt",
    [
        "White",
        "in white",
        "on a white background",
        "a plain white background",
        "in front of a seamless white studio backdrop",
        "change the background to white",
        "background-color: #fff",
        "colour=white",
        "white, #ffffff",
        "simple\n\twhite   background!!",
    ],
)
def test_words_that_name_no_thing_are_ignored(prompt: str) -> None:
    assert find_colour(prompt) == WHITE


@pytest.mark.parametrize(
    "prompt",
    [
        "in a green forest",
        "white sand beach",
        "a red car in a parking lot",
        "orange juice on a table",
        "a rose garden",
        "in a living room with white walls",
        "blue sky",
        "white marble",
        "in a forest green room",
        "rgb(10,20,30) with trees",
        "#ffffff walls",
        "white gradient",
        "not white",
        "no background",
        "decade",
        "on 100000 roses",
        "a light background",
        "",
        "   ",
        "\N{SLIGHTLY SMILING FACE}",
        "weißer Hintergrund",
    ],
)
def test_a_scene_is_not_a_colour(prompt: str) -> None:
    assert find_colour(prompt) is None


@pytest.mark.parametrize("prompt", ["red and blue", "red, blue", "#f00 #00f", "from red to blue"])
def test_two_colours_are_not_a_colour(prompt: str) -> None:
    assert find_colour(prompt) is None


@pytest.mark.parametrize(
    "prompt",
    [
        "#ff000080",
        "rgba(10,20,30,0.5)",
        "rgb(10 20 30 / 50%)",
        "transparent",
        "#12",
        "#12345",
        "#ggg",
        "rgb(1,2)",
        "rgb(1,2,3,4,5)",
    ],
)
def test_invalid_and_transparent_colours_are_ignored(prompt: str) -> None:
    assert find_colour(prompt) is None


def test_a_hex_value_is_used_before_a_name() -> None:
    assert find_colour("light grey (#f5f5f5)") == (245, 245, 245)


@pytest.mark.parametrize("thing", ["coral", "snow", "linen", "gold", "wheat"])
def test_the_name_of_a_thing_is_a_colour_only_if_the_prompt_says_so(thing: str) -> None:
    colour = ImageColor.getrgb(thing)
    assert find_colour(thing) == colour
    assert find_colour(f"{thing} colour") == colour
    assert find_colour(f"on a solid {thing} background") == colour
    assert find_colour(f"on {thing}") is None
    assert find_colour(f"in the {thing}") is None


@pytest.mark.parametrize(
    "prompt", ["rgb " + " " * 200_000, "rgb(1," * 50_000, "#" * 300_000, "light " * 50_000]
)
def test_a_prompt_of_any_length_is_answered(prompt: str) -> None:
    assert find_colour(prompt) is None

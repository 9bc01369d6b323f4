"""The Accept header: which qualities it gives, and whether it asks for a file."""

import pytest
from starlette.requests import Request

from server.errors import NotAcceptableError
from server.http.accept import JSON, parse_accept, wanted_file

PNG, WEBP, JPEG = "image/png", "image/webp", "image/jpeg"
CHROME_IMG = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def request(*values: str) -> Request:
    """Return a request with these Accept headers."""
    headers = [(b"accept", value.encode("latin-1")) for value in values]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": headers})


@pytest.mark.parametrize(
    ("header", "png", "json"),
    [
        ("image/png", 1, 0),
        ("image/*", 1, 0),
        ("*/*", 1, 1),
        ("image/*;q=0.5, image/png;q=0.25, */*;q=0.1", 0.25, 0.1),
        ("IMAGE/PNG ; Q=0.5", 0.5, 0),
        ('image/png;name="a,b;q=0";q=0.5', 0.5, 0),
        ("image/png;q=0.5, image/png", 1, 0),
        ("application/*;q=0.3", 0, 0.3),
        ("image/png;q=2", 0, 0),
        ("image/png;q=0.1234", 0, 0),
        ("image/png;q=-1", 0, 0),
        ("image, /, image/, ;;;q=1, */png", 0, 0),
        (",,,image/png,,", 1, 0),
        ("", 0, 0),
    ],
)
def test_qualities_are_those_of_the_most_specific_range(
    header: str, png: float, json: float
) -> None:
    accept = parse_accept(header.lower())
    assert (accept.quality(PNG), accept.quality(JSON)) == (png, json)


@pytest.mark.parametrize(
    "headers",
    [
        ("image/png",),
        ("image/*",),
        ("Image/WebP",),
        ("application/zip",),
        ("image/vnd.adobe.photoshop",),
        ("image/png, application/json;q=0.9",),
        ("image/png, */*;q=0.9",),
        ("text/html;q=0.5", "image/png"),
        ("image/png, application/json;q=0, */*",),
        (CHROME_IMG,),
    ],
)
def test_a_header_that_names_a_file_first_asks_for_one(headers: tuple[str, ...]) -> None:
    assert wanted_file(request(*headers)) is not None


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("",),
        ("*/*",),
        ("application/json;q=0.1, */*",),
        ("application/json, image/png",),
        ("image/png;q=0.5, application/json;q=0.5",),
        ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",),
        ("application/pdf",),
        ("image/*;q=0",),
        ("image/png, " * 1000,),
        ("image/\xe9",),
    ],
)
def test_any_other_header_asks_for_json(headers: tuple[str, ...]) -> None:
    assert wanted_file(request(*headers)) is None


def test_the_best_type_is_the_first_of_the_most_liked() -> None:
    assert parse_accept("image/*").best([JPEG, PNG, WEBP]) == JPEG
    assert parse_accept("image/*;q=0.5, image/webp").best([PNG, WEBP]) == WEBP
    assert parse_accept(CHROME_IMG).best([PNG, WEBP]) == PNG
    assert parse_accept("image/webp, */*;q=0.5").best([PNG]) is None
    assert parse_accept("image/webp, application/json;q=0.1").best([]) is None
    with pytest.raises(NotAcceptableError, match="image/png, application/json"):
        parse_accept("image/webp").best([PNG])
    with pytest.raises(NotAcceptableError):
        parse_accept("image/png;q=0, image/webp").best([PNG])

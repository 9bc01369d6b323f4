"""No documented field is ignored: each changes the answer, or is listed as without effect in `lite`."""

from collections.abc import Iterator

import pytest

from tests.contract.companions import COMPANIONS
from tests.contract.published import ROUTES, Field, Route
from tests.contract.trials import (
    DONE,
    ECHOED,
    EMPTY,
    IDLE,
    REFUSED,
    Laboratory,
    address,
    laboratory,
    picture,
)

WITHOUT_EFFECT = {
    ("/background/replace", "fast"): IDLE,
    ("/background/replace", "refine_prompt"): IDLE,
    ("/background/replace", "enhance_ref_image"): IDLE,
    ("/background/replace", "negative_prompt"): IDLE,
    ("/background/replace", "seed"): ECHOED,
    ("/enhance_image", "steps_num"): IDLE,
    ("/enhance_image", "seed"): ECHOED,
    ("/image_expansion", "negative_prompt"): IDLE,
    ("/image_expansion", "prompt"): ECHOED,
    ("/register", "is_private"): IDLE,
    ("/upload", "is_private"): IDLE,
    ("/{visual_id}/objects/remove", "enhance"): IDLE,
    ("/{visual_id}/objects/remove", "changes[].mask_source"): IDLE,
}
"""These have no effect on a plain colour, `lite` expands a picture without a prompt and enhances it without
chance, is_private is only stored, the quality is always the highest, and a mask's source follows from its
field."""


EMPTY_ANSWERS = {
    "/{visual_id}/person/info": {"[].actions", "[].oracle"},
}
"""`lite` changes no people."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A server with fake models to try fields on."""
    with laboratory(tmp_path_factory.mktemp("trials")) as started:
        yield started


@pytest.mark.parametrize(
    ("route", "field"),
    [
        pytest.param(route, field, id=f"{route.path} {field.path}")
        for route in (*ROUTES, *COMPANIONS)
        for field in route.fields
    ],
)
def test_a_field_has_its_effect(trials: Laboratory, route: Route, field: Field) -> None:
    expected = WITHOUT_EFFECT.get((route.path, field.path))
    for finding in trials.findings(route, field):
        assert finding.word in ((expected,) if expected else (DONE, REFUSED)), finding


@pytest.mark.parametrize("route", [*ROUTES, *COMPANIONS], ids=lambda route: str(route.title))
def test_an_answer_has_its_fields(trials: Laboratory, route: Route) -> None:
    words = trials.answer_words(route)
    assert set(words.values()) <= ({REFUSED} if REFUSED in words.values() else {DONE, EMPTY})
    empty = {name for name, word in words.items() if word == EMPTY}
    assert empty == EMPTY_ANSWERS.get(route.path, set())


@pytest.mark.parametrize(
    ("path", "by_address", "by_file"),
    [
        (route.path, by_address, by_file)
        for route in ROUTES
        for by_address, by_file in (("image_url", "file"), ("mask_url", "mask_file"))
        if by_file in {field.path for field in route.fields} and route.path != "/gen_fill"
    ],
)
def test_a_url_is_used_before_a_file(
    trials: Laboratory, path: str, by_address: str, by_file: str
) -> None:
    route = next(route for route in ROUTES if route.path == path)
    base = trials.base(route)
    kind = "half mask" if by_file == "mask_file" else "other"
    both = trials.outcome(route, {**base, by_address: address(kind)})
    alone = trials.outcome(route, {**base, by_file: picture(kind)})
    assert both == alone
    assert both.results != trials.outcome(route, base).results


def test_gen_fill_uses_urls_before_files(trials: Laboratory) -> None:
    route = next(route for route in ROUTES if route.path == "/gen_fill")
    base = trials.base(route)
    for name in ("image_url", "mask_url"):
        broken = trials.outcome(route, {**base, name: address("no picture")})
        assert broken.status == 415

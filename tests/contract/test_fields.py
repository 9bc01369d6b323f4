"""No documented field is ignored: each changes the answer, or is listed as without effect in `lite`."""

from collections.abc import Iterator

import pytest

from tests.contract.companions import COMPANIONS, LATER
from tests.contract.outcomes import DONE, ECHOED, EMPTY, IDLE, REFUSED
from tests.contract.published import ROUTES
from tests.contract.published_v2 import ROUTES_V2, STATUS
from tests.contract.route import Field, Route
from tests.contract.trial_inputs import address, picture
from tests.contract.trials import Laboratory, laboratory

ALL = (*ROUTES, *COMPANIONS, *ROUTES_V2, STATUS)
WITHOUT_EFFECT = {
    ("/background/replace", "fast"): IDLE,
    ("/background/replace", "refine_prompt"): IDLE,
    ("/background/replace", "enhance_ref_image"): IDLE,
    ("/background/replace", "negative_prompt"): IDLE,
    ("/background/replace", "seed"): ECHOED,
    ("/product/lifestyle_shot_by_text", "sku"): IDLE,
    ("/product/lifestyle_shot_by_text", "mode"): IDLE,
    ("/product/lifestyle_shot_by_text", "fast"): IDLE,
    ("/product/lifestyle_shot_by_text", "optimize_description"): IDLE,
    ("/product/lifestyle_shot_by_text", "exclude_elements"): IDLE,
    ("/product/lifestyle_shot_by_text", "seed"): ECHOED,
    ("/image_expansion", "negative_prompt"): IDLE,
    ("/image_expansion", "prompt"): ECHOED,
    ("/enhance_image", "steps_num"): IDLE,
    ("/enhance_image", "seed"): ECHOED,
    ("/product/cutout", "sku"): IDLE,
    ("/product/packshot", "sku"): IDLE,
    ("/product/shadow", "sku"): IDLE,
    ("/image/edit/product/cutout", "sku"): IDLE,
    ("/register", "is_private"): IDLE,
    ("/upload", "is_private"): IDLE,
    ("/{visual_id}/objects/remove", "enhance"): IDLE,
    ("/{visual_id}/objects/remove", "changes[].mask_source"): IDLE,
    ("/image/edit/replace_background", "mode"): IDLE,
    ("/image/edit/replace_background", "refine_prompt"): IDLE,
    ("/image/edit/replace_background", "enhance_ref_images"): IDLE,
    ("/image/edit/replace_background", "negative_prompt"): IDLE,
    ("/image/edit/replace_background", "prompt_content_moderation"): IDLE,
    ("/image/edit/replace_background", "seed"): ECHOED,
    ("/image/edit/expand", "negative_prompt"): IDLE,
    ("/image/edit/expand", "prompt"): ECHOED,
    ("/image/edit/expand", "prompt_content_moderation"): IDLE,
    ("/image/edit/erase", "composite"): IDLE,
    ("/image/edit/replace_background", "ip_signal"): ECHOED,
    ("/image/edit/expand", "ip_signal"): ECHOED,
    ("/image/edit/enhance", "seed"): ECHOED,
    ("/image/edit/enhance", "sync"): IDLE,
    ("/image/edit/colorize", "seed"): ECHOED,
    ("/image/edit/colorize", "negative_prompt"): IDLE,
    ("/image/edit/colorize", "prompt_content_moderation"): IDLE,
    ("/image/edit/colorize", "ip_signal"): ECHOED,
    ("/image/edit/colorize", "visual_output_content_moderation"): IDLE,
    ("/image/segment/all_masks", "visual_output_content_moderation"): IDLE,
}
"""These have no effect on a plain colour, `lite` expands a picture without a prompt, is_private is only
stored, enhancing has no steps and no chance and is always asynchronous in v2, the quality is always the
highest, a mask's source follows from its field, the eraser never touches what is outside the mask, and `lite`
moderates no prompts and knows no protected things, which its `warning` says. A mask is never inappropriate, nor
is what has lost its colours, because the fake model blocks red. Black and white has no chance and no prompt."""

NEEDS_SCENES = ("/gen_fill", "/product/lifestyle_shot_by_image")
"""These are always 506 in `lite`."""
EMPTY_ANSWERS = {
    "/{visual_id}/person/info": {"[].actions", "[].oracle"},
    "/image/edit/replace_background": {"refined_prompt"},
}
"""`lite` changes no people and refines no prompts."""


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A server with fake models to try fields on."""
    with laboratory(tmp_path_factory.mktemp("trials")) as started:
        yield started


@pytest.mark.parametrize(
    ("route", "field"),
    [
        pytest.param(route, field, id=f"{route.url} {field.path}")
        for route, fields in (*((route, route.fields) for route in ALL), *LATER)
        for field in fields
    ],
)
def test_a_field_has_its_effect(trials: Laboratory, route: Route, field: Field) -> None:
    expected = WITHOUT_EFFECT.get((route.path, field.path))
    for finding in trials.findings(route, field):
        assert finding.word in ((expected,) if expected else (DONE, REFUSED)), finding


@pytest.mark.parametrize("route", ALL, ids=lambda route: str(route.url))
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
        if by_file in {field.path for field in route.fields} and route.path not in NEEDS_SCENES
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

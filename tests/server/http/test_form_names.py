"""Lists and objects in the names of form fields, as the usual clients write them."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from server.errors import BadRequestError
from server.http.form_names import gather
from tests.helpers.answers import refused
from tests.helpers.requests import b64, photo

OBJECTS = [{"mask_id": "1", "actions": {"remove": "true"}}, {"mask_id": "2"}]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a=1&b=2", {"a": "1", "b": "2"}),
        ("a=1&a=2", {"a": ["1", "2"]}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[]=1", {"a": ["1"]}),
        ("a=1&a[]=2", {"a": ["1", "2"]}),
        ("a[0]=1&a[1]=2", {"a": ["1", "2"]}),
        ("a[1]=2&a[0]=1", {"a": ["1", "2"]}),
        ("a[10]=3&a[9]=2&a[1]=1", {"a": ["1", "2", "3"]}),
        ("a.0=1&a.1=2", {"a": ["1", "2"]}),
        ("a[b]=1&a[c][d]=2", {"a": {"b": "1", "c": {"d": "2"}}}),
        (
            "c[0][mask_id]=1&c[0][actions][remove]=true&c[1][mask_id]=2",  # PHP, qs, jQuery
            {"c": OBJECTS},
        ),
        ("c[0].mask_id=1&c[0].actions.remove=true&c[1].mask_id=2", {"c": OBJECTS}),  # qs, .NET
        ("c.0.mask_id=1&c.0.actions.remove=true&c.1.mask_id=2", {"c": OBJECTS}),  # axios
        ("c[][mask_id]=1&c[][actions][remove]=true&c[][mask_id]=2", {"c": OBJECTS}),  # Rails
        ("c[1][mask_id]=2&c[0][mask_id]=1&c[0][actions][remove]=true", {"c": OBJECTS}),
        ("c[0][mask_url]=&c[0][mask_id]=1", {"c": [{"mask_id": "1"}]}),
        ("c[0][]=1&c[0][]=2&c[1][]=3", {"c": [["1", "2"], ["3"]]}),
        ("c[][]=1&c[][]=2", {"c": [["1", "2"]]}),
        ("image.x=3&image.y=4", {"image.x": "3", "image.y": "4"}),
        ("a[b=1&]=2&[c]=3&a..b=4", {"a[b": "1", "]": "2", "[c]": "3", "a..b": "4"}),
        ("a[99999]=1", {"a": {"99999": "1"}}),
    ],
)
def test_names_become_lists_and_objects(text: str, fields: dict[str, Any]) -> None:
    pairs = [tuple(field.split("=")) for field in text.split("&")]
    assert gather(pairs) == fields


@pytest.mark.parametrize(
    "text",
    [
        "a=1&a[0]=2",
        "a[0]=1&a=2",
        "a=1&a[b]=2",
        "a[b]=1&a=2",
        "a[]=1&a[0]=2",
        "a[0]=1&a[]=2",
        "a[0]=1&a[b]=2",
        "a[b]=1&a[0]=2",
        "a[0]=1&a[0]=2",
        "a[b]=1&a[b]=2",
        "a[0]=1&a[0][b]=2",
        "a[0][b]=1&a[0]=2",
        "a[]=1&a[][b]=2",
        "a[0][b]=1&a[0][0]=2",
    ],
)
def test_names_that_contradict_each_other_are_refused(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        gather([(name, value) for name, _, value in (f.partition("=") for f in text.split("&"))])
    assert caught.value.text == "a is sent in ways that contradict each other."
    assert caught.value.parameter == "a"


def test_depth_count_and_length_are_bounded() -> None:
    assert gather([("a" + "[b]" * 7, "1")])["a"]["b"]
    with pytest.raises(BadRequestError, match="levels"):
        gather([("a" + "[b]" * 8, "1")])
    gather([(f"a[{index}]", "1") for index in range(2048)])
    with pytest.raises(BadRequestError, match="too many"):
        gather([(f"a[{index}]", "1") for index in range(2049)])
    gather([(f"a{index}", "1") for index in range(64)])
    with pytest.raises(BadRequestError, match="too many"):
        gather([(f"a{index}", "1") for index in range(65)])
    name = "a" + "[b]" * 10_000_000
    assert gather([(name, "1")]) == {name: "1"}


EXPANSION = {
    "canvas_size[1]": "300",
    "canvas_size[0]": "400",
    "original_image_location[0]": "20",
} | {
    "original_image_location[1]": "-10",
    "prompt": "",
}


@pytest.mark.parametrize("kind", ["query", "urlencoded", "multipart"])
def test_each_form_may_carry_an_indexed_list(client: TestClient, read: Any, kind: str) -> None:
    picture = {"file": b64(photo(100, 100))}
    if kind == "query":
        answer = client.post("/v1/image_expansion", params=EXPANSION, json=picture)
    elif kind == "urlencoded":
        answer = client.post("/v1/image_expansion", data=EXPANSION | picture)
    else:
        files = {name: (None, text) for name, text in (EXPANSION | picture).items()}
        answer = client.post("/v1/image_expansion", files=files)
    assert read(answer).size == (400, 300)


@pytest.fixture
def visual(client: TestClient) -> str:
    """The path of a registered picture."""
    return f"/v1/{client.post('/v1/register', json={'file': b64(photo())}).json()['visual_id']}"


@pytest.mark.parametrize(
    "names",
    [
        ("changes[0][mask_id]", "changes[0][actions][remove]"),
        ("changes[7][mask_id]", "changes[7][actions][remove]"),
        ("changes[0].mask_id", "changes[0].actions.remove"),
        ("changes.0.mask_id", "changes.0.actions.remove"),
        ("changes[][mask_id]", "changes[][actions][remove]"),
    ],
)
@pytest.mark.parametrize("kind", ["params", "data"])
def test_each_way_to_write_an_object_removes_it(
    client: TestClient, visual: str, kind: str, names: tuple[str, str]
) -> None:
    def removed(mask_id: int, remove: str) -> Any:
        fields: Any = {names[0]: str(mask_id), names[1]: remove}
        return client.post(f"{visual}/objects/remove", **{kind: fields})

    assert removed(1, "true").status_code == 200
    refused(removed(99, "true"), 506)
    assert removed(99, "false").status_code == 200


def test_255_nested_objects_are_accepted(client: TestClient, visual: str) -> None:
    changes = {f"changes[{index}][mask_id]": "1" for index in range(255)}
    changes |= {f"changes[{index}][mask_source]": "generated" for index in range(255)}
    changes |= {f"changes[{index}][actions][remove]": "1" for index in range(255)}
    answer = client.post(f"{visual}/objects/remove", data=changes)
    assert answer.status_code == 200, answer.text
    changes["changes[255][mask_id]"] = "1"
    refused(client.post(f"{visual}/objects/remove", data=changes), 400)


@pytest.mark.parametrize("kind", ["params", "data"])
def test_a_contradiction_is_400_and_named(client: TestClient, kind: str) -> None:
    fields: Any = {"canvas_size": "[1,2]", "canvas_size[0]": "400"}
    answer = client.post("/v1/image_expansion", **{kind: fields})
    assert refused(answer, 400)["parameter"] == "canvas_size"

"""Messages about wrong fields: plain English, without terms of Python or pydantic."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from starlette.testclient import TestClient

from pipelines.errors import BadActionError
from pipelines.people.actions import check_action
from server.errors import BadRequestError
from server.http.fields import validate
from server.operation import EditBody, Operation
from server.operations import OPERATIONS
from server.v1.create import CreateBody
from server.v1.image_expansion import ImageExpansionBody
from server.v1.objects_remove import ObjectsRemoveBody
from server.v1.register import RegisterBody
from server.v2.product_integrate import IntegrateBody
from tests.helpers.plain_english import JARGON, check_text
from tests.helpers.requests import b64, photo

WRONG: list[Any] = [
    "words",
    "nan",
    "",
    "9" * 5000,
    3.5,
    -1,
    10**30,
    -(10**30),
    float("nan"),
    float("inf"),
    1e300,
    True,
    None,
    [],
    [1],
    [1, 2, 3],
    ["a", "b"],
    [[1, 2], [3]],
    [None],
    [{}],
    {},
    {"a": {"b": [1]}},
    b"\xff\xfe",
    "x" * 20_000,
]
MODELS: list[type[BaseModel]] = [*dict.fromkeys(o.body for o in OPERATIONS), RegisterBody]
NESTED: dict[tuple[type[BaseModel], str], list[tuple[str, Any]]] = {
    (CreateBody, "changes"): [("id", "p"), ("actions", {"smile": 1})],
    (IntegrateBody, "products"): [
        ("image", "a picture"),
        ("coordinates", {"x": 1, "y": 2, "width": 3, "height": 4}),
    ],
    (ObjectsRemoveBody, "changes"): [
        ("mask_id", 1),
        ("mask_url", None),
        ("mask_source", "manual"),
        ("actions", {"remove": True}),
    ],
}
"""By model and list field: the fields of an item, each with a valid value."""


def valid_fields(model: type[BaseModel]) -> dict[str, Any]:
    """Return the required fields of a model, with valid values."""
    values: dict[str, Any] = {
        "prompt": "a cat",
        "model_version": "2.2",
        "instruction": "a vase",
        "object_name": "the lamp",
        "new_text": "Fresh bread",
        "season": "winter",
        "light_type": "midday",
        "style": "anime",
        "color": "sepia_vintage",
    }
    for (owner, name), fields in NESTED.items():
        if issubclass(model, owner):
            values[name] = [dict(fields)]
    return {n: values[n] for n, field in model.model_fields.items() if field.is_required()}


def wrong_bodies(model: type[BaseModel]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name of a field, and a body in which its value is wrong."""
    for name in model.model_fields:
        for value in WRONG:
            yield name, {**valid_fields(model), name: value}
    for (owner, name), fields in NESTED.items():
        for inner, _ in fields if issubclass(model, owner) else ():
            for value in WRONG:
                yield name, {**valid_fields(model), name: [{**dict(fields), inner: value}]}
            without = {key: valid for key, valid in fields if key != inner}
            yield name, {**valid_fields(model), name: [without]}


def refusal(model: type[BaseModel], body: dict[str, Any]) -> BadRequestError | None:
    """Return the error of a body; None if it is valid."""
    try:
        validate(model, body)
    except BadRequestError as error:
        return error
    return None


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_wrong_field_is_refused_in_plain_english(model: type[BaseModel]) -> None:
    refusals = [(name, refusal(model, body)) for name, body in wrong_bodies(model)]
    errors = [(name, error) for name, error in refusals if error is not None]
    assert len(errors) > len(WRONG) / 2
    for name, error in errors:
        assert (error.parameter or "").partition(".")[0] == name
        assert error.text.startswith(name), error.text
        check_text(error.text.replace("'float'", "'floating'"))  # the name of a kind of shadow
        assert "another value" not in error.text, error.text
        assert len(error.text) < 400  # a list of all values may be long


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_missing_field_is_named(model: type[BaseModel]) -> None:
    for name in valid_fields(model):
        with pytest.raises(BadRequestError) as caught:
            validate(model, {n: v for n, v in valid_fields(model).items() if n != name})
        assert caught.value.text == f"{name} is required."


@pytest.mark.parametrize(
    ("model", "fields", "text"),
    [
        (EditBody, {"sync": 7}, "sync must be true or false."),
        (EditBody, {"sync": [1]}, "sync must be true or false."),
        (
            ImageExpansionBody,
            {"canvas_size": {}},
            "canvas_size must be a list of 2 whole numbers.",
        ),
        (
            ImageExpansionBody,
            {"canvas_size": [1]},
            "canvas_size must be a list of 2 whole numbers.",
        ),
        (
            ImageExpansionBody,
            {"original_image_size": [1, 2, 3]},
            "original_image_size must be a list of 2 whole numbers.",
        ),
        (
            ImageExpansionBody,
            {"canvas_size": [1, 2.5]},
            "canvas_size.1 must be a whole number.",
        ),
        (ImageExpansionBody, {"canvas_size": [0, 2]}, "canvas_size.0 must be at least 1."),
        (
            ImageExpansionBody,
            {"canvas_size": [9000, 9000]},
            "canvas_size: the canvas may have an area of at most 5000 x 5000 pixels.",
        ),
        (ImageExpansionBody, {"prompt": 3}, "prompt must be text."),
        (
            ImageExpansionBody,
            {"prompt": "x" * 10_001},
            "prompt must have at most 10000 characters.",
        ),
        (CreateBody, {"changes": 3}, "changes must be a list of objects."),
        (CreateBody, {"changes": [3]}, "changes.0 must be an object."),
        (CreateBody, {"changes": []}, "changes must have at least 1 item."),
        (CreateBody, {"changes": [{"id": "p"}]}, "changes.0.actions is required."),
        (
            ObjectsRemoveBody,
            {"changes": [{"mask_id": 1, "mask_source": "x"}]},
            "changes.0.mask_source must be 'generated' or 'manual'.",
        ),
    ],
)
def test_the_message_says_what_the_field_must_be(
    model: type[BaseModel], fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        validate(model, fields)
    assert caught.value.text == text


@pytest.mark.parametrize(
    "operation", [o for o in OPERATIONS if not o.of_visual], ids=lambda operation: operation.name
)
def test_a_route_returns_the_same_message(client: TestClient, operation: Operation[Any]) -> None:
    body = {"file": b64(photo()), **valid_fields(operation.body), "sync": {"a": 1}}
    answer = client.post(operation.url.replace("{model_version}", "2.2"), json=body)
    assert answer.status_code == 400
    if operation.version == "v2":
        assert answer.json()["error"]["details"] == "sync must be true or false."
        return
    assert answer.json()["description"] == "sync must be true or false."
    assert answer.json()["parameter"] == "sync"


@pytest.mark.parametrize("value", [value for value in WRONG if value not in ("", b"\xff\xfe")])
def test_a_wrong_value_of_an_action_is_refused_in_plain_english(value: Any) -> None:
    with pytest.raises(BadActionError) as caught:
        check_action("smile", value, {"smile": []})
    assert not JARGON.search(str(caught.value)), str(caught.value)

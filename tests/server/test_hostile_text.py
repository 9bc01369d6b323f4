"""Hostile values in every field of every route: served or refused as documented, and no error in the log."""

import json
import logging
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
from starlette.testclient import TestClient

from server.app import create_app
from server.operation import Operation
from server.operations import OPERATIONS
from server.settings import Settings
from tests.helpers.picture_places import NoModels, documented
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.route_needs import SENT

pytestmark = pytest.mark.slow

LONG = 1_000_000
NUMBERS = (
    "1e400",
    "-1e400",
    "1e-400",
    "NaN",
    "Infinity",
    "-Infinity",
    "9" * 400,
    "9" * 5000,
    "-0",
    "1e308",
    "0.1",
    "1e1000000000",
    "01",
    "0x10",
    "true",
    "null",
)
"""JSON texts of numbers, some of which JSON does not have."""
TEXTS = (
    json.dumps("a" * LONG),
    json.dumps(" " * LONG),
    json.dumps("#" * LONG),
    json.dumps("rgb(" * (LONG // 4)),
    json.dumps("1:" * 30_000),
    json.dumps("[" * 100_000),
    json.dumps("-" * LONG),
    json.dumps("\u202e\u0000"),
    json.dumps("\U0001f9d1\u200d\U0001f680" * 3000),
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"NaN"',
    '"1e400"',
    '"%s%n{}{0}$(id)"',
    json.dumps("٣"),
    json.dumps("²"),
    json.dumps("1_000"),
)
"""JSON texts of words."""
SHAPES = (
    "[" * 150 + "]" * 150,
    "[" * 100_000 + "]" * 100_000,
    '{"a":' * 150 + "1" + "}" * 150,
    json.dumps([[]] * 30_000),
    json.dumps([{}] * 300),
    json.dumps([None] * 300),
    json.dumps({"": ""}),
    json.dumps({"$ref": "#", "__class__": "x"}),
    json.dumps([1.5, "a", None, True, {}, []]),
)
"""JSON texts of lists and objects."""
VALUES = (*NUMBERS, *TEXTS, *SHAPES)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server without models, so that no value costs any work."""
    tokens: Any = "a:secret-a"
    settings = Settings(data_dir=tmp_path_factory.mktemp("text"), api_tokens=tokens, workers=1)
    app = create_app(settings, NoModels())
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        client.post("/v1/register", json={"file": b64(photo(64, 48))})
        yield client


@pytest.fixture(autouse=True)
def no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Check that a hostile value is no error of the server."""
    with caplog.at_level(logging.ERROR):
        yield
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def fields_of(operation: Operation[Any]) -> list[str]:
    """Return the fields of a request, its pictures' too."""
    pictures = [
        name for rule in operation.pictures for name in (*rule.url_fields, *rule.file_fields)
    ]
    return list(dict.fromkeys([*operation.body.model_fields, *pictures]))


def body_with(operation: Operation[Any], field: str, value: str) -> bytes:
    """Return a request's JSON with a text in place of the value of a field."""
    base: dict[str, Any] = {"file": b64(photo(64, 48)), "image": b64(photo(64, 48))}
    base = {**base, **SENT.get(operation.key, {}), "sync": True}
    rest = json.dumps({name: sent for name, sent in base.items() if name != field})
    return f'{rest[:-1]}, "{field}": {value}}}'.encode()


@pytest.fixture(scope="module")
def visual_id(running: TestClient) -> str:
    answer = running.post("/v1/register", json={"file": b64(photo(64, 48))})
    return str(answer.json()["visual_id"])


def test_hostile_values_are_refused_or_served_as_documented(
    running: TestClient, visual_id: str
) -> None:
    document = running.app.openapi()  # type: ignore[attr-defined]
    values = cycle(VALUES)
    found = []
    for operation in OPERATIONS:
        url = operation.url.format(visual_id=visual_id, model_version="2.3")
        for field in fields_of(operation):
            value = next(values)
            if operation.method == "GET":
                answer = running.get(url, params={field: value[:3000]})
            else:
                content = body_with(operation, field, value)
                headers = {"Content-Type": "application/json"}
                answer = running.post(url, content=content, headers=headers)
            fault = documented(document, operation.url, operation.method.lower(), answer)
            found.append((operation.url, field, value[:40], fault))
    assert len(found) > len(VALUES)
    assert [one for one in found if one[-1]] == []


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value[:12])
@pytest.mark.parametrize("field", ["changes", "sid", "desired_resolution"])
def test_every_hostile_value_is_refused_in_fields_with_narrow_values(
    running: TestClient, visual_id: str, field: str, value: str
) -> None:
    operation = next(one for one in OPERATIONS if one.key == "/{visual_id}/objects/remove")
    answer = running.post(
        operation.url.format(visual_id=visual_id),
        content=body_with(operation, field, value),
        headers={"Content-Type": "application/json"},
    )
    # null means that the field is absent; other texts name a sid that does not exist.
    assert answer.status_code in (400, 404, 413, 506), answer.text


def test_of_two_equal_names_in_json_the_last_counts_and_nothing_breaks(running: TestClient) -> None:
    picture = b64(photo(64, 48))
    for body in (
        f'{{"file": "{picture}", "file": "x!"}}',
        f'{{"sync": true, "sync": [[]], "file": "{picture}"}}',
        '{"file": "a", ' + '"file": "b", ' * 5000 + '"file": 1}',
    ):
        answer = running.post(
            "/v1/crop", content=body.encode(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "value", ["[" * 5000, "[[" * 400 + "]]" * 400, "[1,", '["\\ud800"]', "[NaN]"]
)
def test_lists_in_forms_are_refused_when_they_are_none(running: TestClient, value: str) -> None:
    for operation in OPERATIONS:
        if "shot_size" in operation.body.model_fields:
            form = {"image_base64": b64(photo(64, 48)), "placement_type": "automatic"}
            answer = running.post(operation.url, data={**form, "shot_size": value})
            assert answer.status_code == 400, (operation.url, answer.text)

"""The fingerprint of a request depends on what it says, not on how it is sent."""

import itertools
from typing import Any

import pytest

from server.http.fingerprint import fingerprint

FIELDS = {"file": b"picture", "sync": False, "sizes": [1, {"a": "b"}]}


def of(fields: dict[str, Any], method: str = "POST", path: str = "/v1/crop") -> str:
    """Return the fingerprint of fields."""
    return fingerprint(method, path, fields)


def test_the_order_of_fields_makes_no_difference() -> None:
    assert of(FIELDS) == of(dict(reversed(FIELDS.items())))
    assert len(of(FIELDS)) == 64


OTHERS: list[dict[str, Any]] = [
    {},
    {"a": "1"},
    {"a": 1},
    {"a": 1.0},
    {"a": True},
    {"a": b"1"},
    {"a": ["1"]},
    {"a": {"1": ""}},
    {"a": None},
    {"a": "None"},
    {"a": "", "b": ""},
    {"a": "b"},
    {"a": "b\ud800"},
    {"a": ["b", "c"]},
    {"a": ["bc"]},
    {"a": [["b"], "c"]},
    {"a": "1str 1:2"},
    FIELDS,
]


@pytest.mark.parametrize(("one", "other"), [*itertools.combinations(OTHERS, 2)])
def test_different_fields_differ(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert of(one) != of(other)


def test_method_and_path_count() -> None:
    prints = {of(FIELDS), of(FIELDS, "PUT"), of(FIELDS, path="/v2/crop")}
    assert len(prints) == 3

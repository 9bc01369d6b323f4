"""The operations of `retouch edit`, and their options: the declared fields of the routes."""

import pytest
from typer.testing import CliRunner

from retouch.command import app
from retouch.edit.operations import EditOperation, edit_operations, find_operation
from server.operations import OPERATIONS

COMMON = {"output", "recursive", "jobs", "resume", "server", "token", "help", "inputs"}
BY_NAME = edit_operations()


def test_every_stateless_operation_has_a_name() -> None:
    stateless = [one for one in OPERATIONS if not (one.of_visual or one.registers)]
    assert {id(edit.operation) for edit in BY_NAME.values()} == {*map(id, stateless)}
    assert len(BY_NAME) == len(stateless) > 40
    names = list(BY_NAME)
    assert names.index("remove-background") < names.index("background/remove")


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("remove-background", "/v2/image/edit/remove_background"),
        ("remove_background", "/v2/image/edit/remove_background"),
        ("/v2/image/edit/remove_background", "/v2/image/edit/remove_background"),
        ("background/remove", "/v1/background/remove"),
        ("/v1/background/remove", "/v1/background/remove"),
        ("erase_foreground", "/v1/erase_foreground"),
        ("erase-foreground", "/v2/image/edit/erase_foreground"),
        ("all-masks", "/v2/image/segment/all_masks"),
        ("product-virtual-tryon", "/v2/image/edit/product/virtual-tryon"),
        ("generate-lite", "/v2/image/generate/lite"),
        ("structured-prompt", "/v2/structured_prompt/generate"),
        ("edit", "/v2/image/edit"),
        ("text-to-image/hd", "/v1/text-to-image/hd/{model_version}"),
    ],
)
def test_a_name_and_a_path_find_the_operation(name: str, url: str) -> None:
    found = find_operation(name)
    assert found is not None
    assert found.operation.url == url


def test_an_unknown_name_is_an_error() -> None:
    assert find_operation("remove") is None
    result = CliRunner().invoke(app, ["edit", "remove", "a.jpg", "b.png"])
    assert result.exit_code == 2
    assert "No such command 'remove'" in result.stderr


@pytest.mark.parametrize("edit", BY_NAME.values(), ids=list(BY_NAME))
def test_every_field_of_the_route_is_an_option(edit: EditOperation) -> None:
    schema = edit.operation.body.model_json_schema()["properties"]
    fields = {field.name: field for field in edit.fields}
    assert set(schema) - {"sync", "webhook_url", "images", "image_url"} == set(fields)
    for name, field in fields.items():
        assert field.description == schema[name].get("description", "")
    options = [*fields, *edit.further_pictures]
    assert len({*options} | COMMON) == len(options) + len(COMMON)  # no two of one name


def test_the_help_shows_the_fields_with_their_descriptions() -> None:
    text = CliRunner().invoke(app, ["edit", "blur-background", "--help"]).stdout
    words = " ".join(text.split())
    assert "Blur the background: POST /v2/image/edit/blur_background." in words
    assert "--scale INTEGER" in words
    assert "Keep the transparency of the image; false makes the result opaque." in words
    listed = CliRunner().invoke(app, ["edit", "--help"]).stdout
    assert "remove-background               Remove the background\n" in listed


@pytest.mark.parametrize("edit", BY_NAME.values(), ids=list(BY_NAME))
def test_every_operation_has_a_help(edit: EditOperation) -> None:
    result = CliRunner().invoke(app, ["edit", edit.name, "--help"])
    assert result.exit_code == 0
    assert ("  --mask FILE" in result.stdout) is ("mask" in edit.further_pictures)

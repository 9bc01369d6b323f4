"""What is sent: which pictures, which operations, how many requests."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from retouch.command import app
from retouch.parity.plan import OPERATIONS, Operation, chosen, make_plan, pictures_in
from server.operations import OPERATIONS as SERVED

BASES = ("--base", "http://127.0.0.1:9", "--base", "http://127.0.0.1:9")


def folder_of(tmp_path: Path, *names: str) -> Path:
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_pictures_are_bounded_and_have_their_masks(tmp_path: Path) -> None:
    names = ("b.jpg", "a.PNG", "a-mask.png", "c.webp", "notes.txt", ".d.jpg")
    found = pictures_in(folder_of(tmp_path, *names), 2)
    assert {one.name: mask and mask.name for one, mask in found.items()} == {
        "a.PNG": "a-mask.png",
        "b.jpg": None,
    }


def test_an_operation_that_needs_a_mask_is_sent_only_with_one(tmp_path: Path) -> None:
    pictures = pictures_in(folder_of(tmp_path, "a.jpg", "a-mask.png", "b.jpg"), 9)
    cases = make_plan(chosen(["v2/image/edit/erase"]), pictures, ["async"], has_refusals=False)
    assert [case.name for case in cases] == ["v2/image/edit/erase async a.jpg"]
    assert cases[0].fields["mask"] == tmp_path / "a-mask.png"


def test_wrong_requests_are_sent_for_each_version_that_is_compared(tmp_path: Path) -> None:
    pictures = pictures_in(folder_of(tmp_path, "a.jpg"), 9)
    both = make_plan(chosen(["v2/image/edit/erase*", "v1/crop"]), pictures, ["async"])
    wrong = [case.name for case in both if case.status is not None]
    assert len([name for name in wrong if name.startswith("v2: ")]) == 6
    assert len([name for name in wrong if name.startswith("v1: ")]) == 5


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.path)
def test_every_operation_is_a_route_with_these_fields(operation: Operation) -> None:
    (case,) = make_plan([operation], {Path("a.jpg"): Path("m.png")}, ["async"], has_refusals=False)
    path, _, query = case.operation.partition("?")
    (served,) = [one for one in SERVED if one.url == f"/{path}"]
    names = {field for field in served.body.model_fields}
    known = {*names, "image", "mask", *(query.partition("=")[:1])}
    assert set(case.fields) <= known


def test_a_dry_run_lists_the_requests_and_sends_none(tmp_path: Path) -> None:
    sample = folder_of(tmp_path, "a.jpg")
    words = [
        "parity",
        *BASES,
        "--sample",
        str(sample),
        "--dry-run",
        "--operation",
        "v2/*/all_masks",
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[0] == "v2/image/segment/all_masks async a.jpg"
    assert "7 requests to each" in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--base", "http://127.0.0.1:9"], "Name two servers"),
        ([*BASES, "--token", "one"], "Name two tokens"),
        ([*BASES, "--operation", "v3/*"], "there is no such operation"),
        ([*BASES, "--max-requests", "2"], "allow them by --max-requests"),
        (["--base", "ftp://a", "--base", "http://b"], "Only http and https URLs"),
    ],
)
def test_what_cannot_be_meant_is_status_2(tmp_path: Path, words: list[str], text: str) -> None:
    sample = folder_of(tmp_path, "a.jpg")
    done = CliRunner().invoke(app, ["parity", *words, "--sample", str(sample)])
    assert done.exit_code == 2, done.output
    assert text in done.stderr


def test_a_folder_without_pictures_is_status_2(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["parity", *BASES, "--sample", str(tmp_path), "--token", "a"])
    assert (done.exit_code, done.stderr) == (2, f"{tmp_path} has no JPEG, PNG or WebP file.\n")

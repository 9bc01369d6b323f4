"""Each kind of difference between two servers is found, and nothing else is taken for one."""

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from retouch.command import app
from retouch.parity import guarded
from retouch.parity.command import _without
from retouch.parity.guarded import GuardedTransport, NotReadError
from retouch.secrets import HIDDEN
from tests.helpers.answering import Answering, Said, answering
from tests.helpers.server_process import encoded

ROUTE = "/v2/image/edit/remove_background"
STATUS = "/v2/status/r1"
SECRET = "secret-of-this-test"
REFUSED = {"error": {"code": 506, "message": "no", "details": "no"}}
FAILED = {
    "status": "ERROR",
    "request_id": "r1",
    "error": {"code": 422, "message": "m", "details": "m"},
}
DONE = {
    "status": "COMPLETED",
    "request_id": "r1",
    "result": {"image_url": "BASE/f.png", "seed": "1"},
}
NO_PICTURE = {"format": ["PNG", "none"], "mode": ["RGBA", "none"], "size": ["40 x 30", "none"]}


def cut(width: int = 40, left: int = 10, mode: str = "RGBA") -> bytes:
    """Return a cut-out: a red square on transparent ground."""
    image = Image.new("RGBA", (width, 30))
    ImageDraw.Draw(image).rectangle((left, 5, left + 9, 24), fill=(200, 10, 10, 255))
    return encoded(image.convert(mode))


@pytest.fixture
def pair() -> Iterator[tuple[Answering, Answering]]:
    """Two servers that answer alike."""
    with answering() as first, answering() as second:
        for one in (first, second):
            ready = {"result": {"image_url": f"{one.base}/f.png", "seed": 1}, "request_id": "r1"}
            status_url = f"{one.base}{STATUS}"
            one.answers[ROUTE] = [Said(202, {"request_id": "r1", "status_url": status_url})]
            one.answers[STATUS] = [Said(body={"status": "COMPLETED", **ready})]
            one.answers["/f.png"] = [Said(body=cut(), headers={"Content-Type": "image/png"})]
        yield first, second


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A folder with one picture."""
    folder = tmp_path / "sample"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(folder / "a.jpg")
    return folder


def run(
    pair: tuple[Answering, Answering], sample: Path, *more: str, status: int = 0
) -> dict[str, Any]:
    """Compare one operation; return what the command wrote about it."""
    output = sample.parent / "out"
    bases = [word for one in pair for word in ("--base", one.base)]
    words = ["--sample", str(sample), "-o", str(output), "--no-refusals", *more]
    operation = [] if "--operation" in more else ["--operation", ROUTE[1:]]
    environment = {"RETOUCH_PARITY_TOKENS": f"{SECRET} {SECRET}"}
    done = CliRunner().invoke(app, ["parity", *bases, *words, *operation], env=environment)
    assert done.exit_code == status, done.output
    written = (output / "parity.json").read_text()
    page = (output / "parity.html").read_text()
    for text in (done.output, written, page):
        assert SECRET not in text
    found: dict[str, Any] = json.loads(written)
    return found


def differences(found: dict[str, Any]) -> dict[str, list[str]]:
    """Return the differences of the first request."""
    return {one["what"]: one["texts"] for one in found["comparisons"][0]["differences"]}


def test_servers_that_answer_alike_differ_in_nothing(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    found = run(pair, sample)
    (one,) = found["comparisons"]
    assert one["differences"] == []
    assert one["pairs"][0]["pixels"] == {"mean": 0.0, "largest": 0, "alpha_iou": 1.0}
    assert one["answers"][0]["state"] == "COMPLETED"
    assert one["answers"][0]["finished_s"] >= one["answers"][0]["answered_s"] > 0
    for side in "ab":
        with Image.open(sample.parent / "out" / "pictures" / f"000-1-{side}.png") as thumbnail:
            assert thumbnail.size == (40, 30)


def test_no_more_is_sent_than_told_and_links_get_no_token(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    Image.new("RGB", (8, 8)).save(sample / "b.png")
    Image.new("RGB", (8, 8)).save(sample / "c.png")
    run(pair, sample, "--limit", "2")
    for one in pair:
        sent = [(method, path) for method, path, _ in one.sent]
        assert sent.count(("POST", ROUTE)) == 2
        assert sent.count(("GET", "/f.png")) == 2
        assert len(sent) == 6
        tokens = {path: headers.get("api_token") for _, path, headers in one.sent}
        assert tokens == {ROUTE: SECRET, STATUS: SECRET, "/f.png": None}


@pytest.mark.parametrize(
    ("path", "said", "what", "texts"),
    [
        (ROUTE, Said(506, REFUSED), "status", ["202", "506: no"]),
        (ROUTE, Said(202, {"request_id": "r1"}), "field status_url", ["text", "none"]),
        (
            ROUTE,
            Said(202, {"request_id": "r1", "status_url": None}),
            "field status_url",
            ["text", "null"],
        ),
        (
            STATUS,
            Said(body=FAILED),
            "final state",
            ["COMPLETED", "ERROR: m"],
        ),
        (
            STATUS,
            Said(body=DONE),
            "field of the final state result.seed",
            ["integer", "text"],
        ),
    ],
)
def test_a_difference_of_the_contract_is_told_and_is_status_1(
    pair: tuple[Answering, Answering],
    sample: Path,
    path: str,
    said: Said,
    what: str,
    texts: list[str],
) -> None:
    body = json.loads(json.dumps(said.body).replace("BASE", pair[1].base))
    pair[1].answers[path] = [Said(said.status, body)]
    found = run(pair, sample, status=1)
    assert differences(found) == {what: texts}
    assert found["breaking_the_contract"] == 1


@pytest.mark.parametrize(
    ("content", "kind", "expected"),
    [
        (cut(50), "image/png", {"size": ["40 x 30", "50 x 30"]}),
        (cut(mode="RGB"), "image/png", {"mode": ["RGBA", "RGB"]}),
        (cut(), "binary/octet-stream", {"content type": ["image/png", "binary/octet-stream"]}),
        (b"no picture", "image/png", NO_PICTURE),
        (cut(left=15), "image/png", {}),
    ],
)
def test_a_difference_of_the_picture_is_told_and_is_no_failure(
    pair: tuple[Answering, Answering],
    sample: Path,
    content: bytes,
    kind: str,
    expected: dict[str, list[str]],
) -> None:
    pair[1].answers["/f.png"] = [Said(body=content, headers={"Content-Type": kind})]
    assert differences(run(pair, sample)) == expected


def test_pixels_and_the_cut_are_measured(pair: tuple[Answering, Answering], sample: Path) -> None:
    pair[1].answers["/f.png"] = [Said(body=cut(left=15))]
    (one,) = run(pair, sample)["comparisons"]
    # Of 40 x 30 pixels, 5 x 20 columns are lost and as many are new: red on transparent.
    mean = 2 * 5 * 20 * (200 + 10 + 10) / (40 * 30 * 3)
    assert one["pairs"][0]["pixels"] == {
        "mean": pytest.approx(mean),
        "largest": 200,
        "alpha_iou": pytest.approx(5 / 15),
    }


def test_headers_and_the_number_of_masks_are_told(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    for one, count in zip(pair, (1, 2), strict=True):
        masks = [{"id": i, "image_url": f"{one.base}/f.png"} for i in range(count)]
        one.answers["/v2/image/segment/all_masks"] = [Said(body={"result": {"masks": masks}})]
    pair[1].answers["/v2/image/segment/all_masks"][0] = Said(
        body=pair[1].answers["/v2/image/segment/all_masks"][0].body,
        headers={"Retry-After": "1"},
    )
    found = run(pair, sample, "--operation", "v2/image/segment/all_masks", "--mode", "sync")
    assert differences(found) == {
        "header retry-after": ["none", "1"],
        "number of results": ["1", "2"],
    }


def test_a_busy_server_is_asked_again_when_it_says_and_told(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    pair[0].answers[ROUTE].insert(0, Said(429, {}, {"Retry-After": "0"}))
    (one,) = run(pair, sample)["comparisons"]
    assert [seen["busy"] for seen in one["answers"]] == [1, 0]
    assert one["differences"] == []


def test_a_server_that_stays_busy_or_silent_is_not_compared(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    pair[0].answers[ROUTE] = [Said(429, {}, {"Retry-After": "3600"})]
    pair[1].answers[STATUS] = [Said(body={"status": "IN_PROGRESS", "request_id": "r1"})]
    found = run(pair, sample, "--timeout", "1", status=1)
    assert (found["breaking_the_contract"], found["not_compared"]) == (0, 1)
    busy, silent = differences(found)["answer"]
    assert busy == "it was busy (429) until the time limit"
    assert "within the time limit" in silent


def test_an_answer_that_is_too_large_or_compressed_is_not_read(
    pair: tuple[Answering, Answering], sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guarded, "MAX_FILE_BYTES", 2**20)
    pair[0].answers["/f.png"] = [Said(body=bytes(2**20 + 1))]
    pair[1].answers["/f.png"] = [Said(body=cut(), headers={"Content-Encoding": "gzip"})]
    large, compressed = differences(run(pair, sample))["file"]
    assert "the answer has more than 1 MiB" in large
    assert "the answer is compressed" in compressed


async def test_a_public_server_cannot_lead_to_a_private_address() -> None:
    with answering() as private:
        async with GuardedTransport("http://93.184.216.34") as transport:
            with pytest.raises(NotReadError):
                await transport.handle_async_request(httpx.Request("GET", f"{private.base}/f.png"))
        assert private.sent == []
        async with GuardedTransport("http://127.0.0.2:9") as transport:
            request = httpx.Request("GET", f"{private.base}/f.png")
            assert (await transport.handle_async_request(request)).status_code == 404


@pytest.mark.parametrize("result", [{"masks": [{}]}, {"image_url": "http://127.0.0.1/a\nb"}, 5])
def test_results_that_cannot_be_read_are_told_and_end_nothing(
    pair: tuple[Answering, Answering], sample: Path, result: Any
) -> None:
    pair[1].answers[STATUS] = [Said(body={"status": "COMPLETED", "result": result})]
    found = run(pair, sample, status=1)
    assert found["not_compared"] == 1
    assert differences(found)["answer"][1] == "The answer has no form of this API."


def test_the_words_of_servers_are_escaped_in_the_page(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    hostile = f"<script>{SECRET}</script>"
    pair[1].answers[ROUTE] = [Said(400, {"error": {"code": 1, "message": hostile, "details": ""}})]
    run(pair, sample, status=1)
    text = (sample.parent / "out" / "parity.html").read_text()
    assert "&lt;script&gt;***&lt;/script&gt;" in text
    assert "<script>" not in text


def test_the_words_of_servers_end_nothing_and_reach_no_terminal(
    pair: tuple[Answering, Answering], sample: Path
) -> None:
    hostile = "cut \ud83d \x1b[2J"
    pair[1].answers[ROUTE] = [
        Said(400, {"error": {"code": 1, "message": hostile, "details": ""}, hostile: 1})
    ]
    found = run(pair, sample, status=1)
    assert differences(found)["status"][1] == "400: cut \ud83d \x1b[2J"
    words = ["--sample", str(sample), "-o", str(sample.parent / "out"), "--no-refusals"]
    bases = [word for one in pair for word in ("--base", one.base)]
    environment = {"RETOUCH_PARITY_TOKENS": f"{SECRET} {SECRET}"}
    done = CliRunner().invoke(
        app, ["parity", *bases, *words, "--operation", ROUTE[1:]], env=environment
    )
    assert "\x1b" not in done.output
    assert r"cut \ud83d \x1b[2J" in done.output


@pytest.mark.parametrize("token", ['se&cret"of-this', "se<cret>of-this", "se\\cret'of-this"])
def test_a_token_is_hidden_in_the_form_of_each_file(token: str) -> None:
    for text in (token, json.dumps({"a": token}), escape(token), f"<td>{escape(token)}</td>"):
        hidden = _without(text, (token, "other"))
        assert "cret" not in hidden
        assert HIDDEN in hidden

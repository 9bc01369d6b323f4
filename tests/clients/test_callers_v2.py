"""The requests of programs that call version 2 have their results on a real server."""

from io import BytesIO

import pytest
from PIL import Image

from tests.helpers.calls_by_words import CALLS, ONE_TONE, WordsCall, check_result
from tests.helpers.calls_v2 import GENERATIVE, LITE, Call, followed, result_of, send
from tests.helpers.server_process import Server


@pytest.mark.parametrize("call", LITE, ids=lambda call: str(call.name))
def test_a_call_has_its_result(running: Server, call: Call) -> None:
    result = result_of(running, call)
    picture = Image.open(BytesIO(running.read(result["image_url"]).content))
    picture.load()
    if call.size is not None:
        assert picture.size == pytest.approx(call.size, abs=1)
    if "seed" in call.fields and call.route in ("expand", "enhance", "replace_background"):
        assert result["seed"] == call.fields["seed"]


@pytest.mark.parametrize("call", GENERATIVE, ids=lambda call: str(call.name))
def test_what_lite_cannot_do_is_refused_with_the_reason_in_both_texts(
    running: Server, call: Call
) -> None:
    answer = send(running, call)
    assert answer.status_code == 506, answer.text
    error = answer.json()["error"]
    assert error["code"] == 506
    for text in (error["message"], error["details"]):
        assert "profile" in text


def test_a_picture_that_is_no_picture_is_told_to_people(running: Server) -> None:
    """Programs show `message` or `details`, never both."""
    answer = send(running, Call("broken", "remove_background", {"image": "bm90IGEgcGljdHVyZQ=="}))
    error = answer.json()["error"]
    assert answer.status_code == 415
    assert "image" in error["details"]


@pytest.mark.parametrize("call", ONE_TONE, ids=lambda call: str(call.name))
def test_a_picture_in_one_tone_needs_no_model(running: Server, call: WordsCall) -> None:
    told = followed(running.http.post(f"/v2/{call.path}", json=dict(call.fields)))
    assert told["status"] == "COMPLETED", told
    check_result(call, told["result"])


@pytest.mark.parametrize(
    "call", [call for call in CALLS if "image_url" in call.reads], ids=lambda call: str(call.name)
)
def test_edits_by_words_are_refused_with_the_reason_in_both_texts(
    running: Server, call: WordsCall
) -> None:
    answer = running.http.post(f"/v2/{call.path}", json=dict(call.fields))
    assert answer.status_code == 506, answer.text
    error = answer.json()["error"]
    for text in (error["message"], error["details"]):
        assert "rofile" in text

"""When requests are repeated and how long is waited, with a clock that only pauses move."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from retouch.client import Answer, ApiError, Limits, NoAnswerError, Result, TimeLimitError
from retouch.client.answers import answer_of
from retouch.client.calls import Calls, Flow, Outcome, encoded

LINK = "http://files/a.png"
DONE = httpx.Response(200, json={"result_url": LINK})


class Script:
    """Carries a flow out: gives it outcomes in turn, and moves the clock by its pauses.

    seconds: what each request takes.
    """

    def __init__(self, *outcomes: httpx.Response | Exception, seconds: float = 0.0) -> None:
        self.now = 0.0
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []
        self._outcomes: Iterator[Any] = iter(outcomes)
        self._seconds = seconds

    def run(self, flow: Flow[Any]) -> Any:
        """Return what the flow returns."""
        outcome: Outcome = None
        while True:
            try:
                step = flow.send(outcome)
            except StopIteration as done:
                return done.value
            if isinstance(step, httpx.Request):
                self.requests.append(step)
                self.now += self._seconds
                outcome = next(self._outcomes)
            else:
                self.pauses.append(step)
                self.now += step
                outcome = None


@pytest.fixture(autouse=True)
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a way to make the script of a test, whose clock counts; pauses are the longest, and as in earnest."""
    made: list[Script] = []
    monkeypatch.setattr("retouch.client.calls.monotonic", lambda: made[-1].now)
    monkeypatch.setattr("retouch.client.calls.random.uniform", lambda low, high: high)
    for name, seconds in {
        "_FIRST_POLL_S": 0.25,
        "_LONGEST_POLL_S": 2.0,
        "_LONGEST_PAUSE_S": 30.0,
    }.items():
        monkeypatch.setattr(f"retouch.client.calls.{name}", seconds)

    def make(*outcomes: Any, seconds: float = 0.0) -> Script:
        made.append(Script(*outcomes, seconds=seconds))
        return made[-1]

    return make


def calls(base_url: str = "http://host/v1/", **limits: Any) -> Calls:
    return Calls(base_url, "me", Limits(**limits))


def busy(code: int, asked: str | None = None) -> httpx.Response:
    headers = {} if asked is None else {"Retry-After": asked}
    return httpx.Response(code, headers=headers, json={"error": "busy"})


@pytest.mark.parametrize("code", [429, 503, 409])
def test_a_busy_server_is_asked_again_when_it_says(code: int, script: Any) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    run = script(busy(code, "7"), busy(code, date), DONE)
    assert run.run(calls().post("crop", b"{}", None)).links == [LINK]
    assert run.pauses[0] == 7.0
    assert 50 < run.pauses[1] <= 60
    assert len({request.headers["Idempotency-Key"] for request in run.requests}) == 1
    assert [request.headers["api_token"] for request in run.requests] == ["me"] * 3


def test_without_a_time_the_pauses_grow(script: Any) -> None:
    broken = httpx.ConnectError("refused")
    run = script(busy(503), broken, busy(502, "soon"), busy(429), DONE)
    run.run(calls().post("crop", b"{}", None))
    assert run.pauses == [1.0, 2.0, 4.0, 8.0]


def test_the_number_of_tries_and_their_time_are_bounded(script: Any) -> None:
    run = script(*[busy(429, "1")] * 9)
    with pytest.raises(ApiError, match="busy") as caught:
        run.run(calls(tries=3).post("crop", b"{}", None))
    assert (caught.value.code, run.pauses) == (429, [1.0, 1.0])
    run = script(*[busy(429, "40")] * 9)
    with pytest.raises(ApiError):
        run.run(calls(retry_s=100).post("crop", b"{}", None))
    assert run.pauses == [40.0, 40.0]
    run = script(*[httpx.ReadTimeout("silent")] * 9, seconds=60)
    with pytest.raises(NoAnswerError, match="silent"):
        run.run(calls(retry_s=100).post("crop", b"{}", None))
    assert len(run.requests) == 2


@pytest.mark.parametrize("code", [400, 401, 409, 422, 460, 500, 506])
def test_other_refusals_are_final(code: int, script: Any) -> None:
    run = script(busy(code))
    with pytest.raises(ApiError) as caught:
        run.run(calls().post("crop", b"{}", None))
    assert (caught.value.code, run.pauses) == (code, [])


def test_a_request_that_cannot_be_sent_is_not_repeated(script: Any) -> None:
    run = script(httpx.UnsupportedProtocol("no such scheme"))
    with pytest.raises(NoAnswerError, match="no such scheme"):
        run.run(calls().post("crop", b"{}", None))


def test_each_call_has_a_key_of_its_own_and_the_usual_addresses(script: Any) -> None:
    keys = set()
    for base in ("http://host", "http://host/", "http://host/v1", "http://host/v2/"):
        for path in ("crop", "/v1/crop", "/v2/image/edit?a=1"):
            run = script(DONE)
            run.run(calls(base).post(path, b"{}", None))
            keys.add(run.requests[0].headers["Idempotency-Key"])
            wanted = path if path.startswith("/") else "/v1/crop"
            assert str(run.requests[0].url) == f"http://host{wanted}"
    assert len(keys) == 12


def test_a_promised_link_is_looked_at_until_it_is_there(script: Any) -> None:
    missing = httpx.Response(404, json={"error": "not yet"})
    of_a_store = httpx.Response(403, text="<Error>AccessDenied</Error>")
    run = script(missing, of_a_store, busy(429, "5"), httpx.Response(206, content=b"x"))
    answer = answer_of({"result_url": LINK})
    assert run.run(calls().wait(answer, 60)) == answer
    assert run.pauses == [0.25, 0.375, 5.0]
    assert {request.headers["Range"] for request in run.requests} == {"bytes=0-0"}
    assert not any("api_token" in request.headers for request in run.requests)


def test_one_blocked_of_several_results_loses_its_link(script: Any) -> None:
    run = script(httpx.Response(206, content=b"x"), httpx.Response(416), httpx.Response(200))
    answer = answer_of({"urls": [LINK, f"{LINK}2", f"{LINK}3", "422_image"], "seed": [1, 2, 3, 4]})
    ready = run.run(calls().wait(answer, 60))
    assert ready.results == (Result(LINK, 1), *(Result(None, seed) for seed in (2, 3, 4)))


def test_an_expired_link_is_not_waited_for(script: Any) -> None:
    run = script(httpx.Response(403, json={"code": 403, "status": "FORBIDDEN", "error": "expired"}))
    with pytest.raises(ApiError, match="expired"):
        run.run(calls().wait(answer_of({"result_url": LINK}), 60))


def test_the_state_is_asked_for_at_the_address_of_the_client(script: Any) -> None:
    state = {"status": "COMPLETED", "request_id": "7", "result": {"image_url": LINK, "seed": "3"}}
    going = httpx.Response(200, json={"status": "IN_PROGRESS", "request_id": "7"})
    run = script(going, going, httpx.Response(200, json=state))
    told = {"request_id": "7", "status_url": "http://elsewhere/v2/status/7", "warning": "no model"}
    ready = run.run(calls().wait(answer_of(told, True), 60))
    assert ready == Answer(state, (Result(LINK, 3),), False, "7", "no model")
    assert {str(request.url) for request in run.requests} == {"http://host/v2/status/7"}
    assert run.pauses == [0.25, 0.375]


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"status": "ERROR", "error": {"code": 422, "message": "a", "details": "b"}}, 422),
        ({"status": "UNKNOWN"}, 500),
    ],
)
def test_a_failed_request_of_v2_is_an_error(state: Any, code: int, script: Any) -> None:
    run = script(httpx.Response(200, json={**state, "request_id": "7"}))
    with pytest.raises(ApiError) as caught:
        run.run(calls().wait(Answer({}, (), True, "7"), 60))
    assert (caught.value.code, caught.value.request_id) == (code, "7")
    assert caught.value.text == ("a: b" if code == 422 else "The status is 500.")


@pytest.mark.parametrize("answer", [answer_of({"result_url": LINK}), Answer({}, (), True, "7")])
def test_the_time_limit_bounds_pauses_and_silence(answer: Answer, script: Any) -> None:
    going = (
        httpx.Response(404) if answer.links else httpx.Response(200, json={"status": "IN_PROGRESS"})
    )
    run = script(*[going] * 99, seconds=0.5)
    with pytest.raises(TimeLimitError):
        run.run(calls().wait(answer, 20))
    assert 18 <= run.now <= 20.5
    assert max(run.pauses) == 2.0
    silences = [request.extensions["timeout"]["read"] for request in run.requests]
    assert silences[0] == 20
    assert silences == sorted(silences, reverse=True)


def test_an_answer_that_is_no_json_is_an_error(script: Any) -> None:
    with pytest.raises(ApiError, match="no JSON"):
        script(httpx.Response(200, text="<html>")).run(calls().get("x", {}))
    lost = httpx.Response(500, text="<html>", headers={"X-Request-ID": "abc"})
    with pytest.raises(ApiError, match=r"^The status is 500\. \[500\] \[abc\]$"):
        script(lost).run(calls().get("x", {}))


def test_pictures_become_base64_and_v1_names(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(b"abc")

    def body(path: str, **fields: Any) -> Any:
        return json.loads(encoded(path, fields))

    assert body("crop", image=file, mask=b"abc") == {"file": "YWJj", "mask_file": "YWJj"}
    assert body("/v1/crop", image="http://a/b", mask="data:x") == {
        "image_url": "http://a/b",
        "mask_url": "data:x",
    }
    assert body("crop", image="YWJj", seed=None) == {"file": "YWJj"}
    nested = body("/v2/x", image=b"abc", products=[{"image": file}], images=[b"abc", "http://a"])
    assert nested == {
        "image": "YWJj",
        "products": [{"image": "YWJj"}],
        "images": ["YWJj", "http://a"],
    }
    with pytest.raises(FileNotFoundError):
        body("crop", image=tmp_path / "none.png")


def test_a_request_has_the_id_of_its_caller_in_all_tries(script: Any) -> None:
    run = script(busy(503), DONE)
    run.run(calls().post("crop", b"{}", None, "order-4711"))
    assert [request.headers["X-Request-ID"] for request in run.requests] == ["order-4711"] * 2
    run = script(DONE)
    run.run(calls().post("crop", b"{}", None))
    assert "X-Request-ID" not in run.requests[0].headers


@pytest.mark.parametrize(
    ("outcome", "known"),
    [
        (httpx.Response(400, json={"error": "no"}, headers={"X-Request-ID": "made"}), "made"),
        (httpx.Response(400, json={"error": "no", "request_id": "told"}), "told"),
        (httpx.UnsupportedProtocol("no answer"), "sent"),
    ],
)
def test_an_error_has_the_id_of_its_request(script: Any, outcome: Any, known: str) -> None:
    run = script(outcome)
    with pytest.raises(ApiError) as caught:
        run.run(calls(tries=1).post("crop", b"{}", None, "sent"))
    assert caught.value.request_id == known
    assert f"[{known}]" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"result": {"masks": [{"id": 1}]}},
        {"result": [[LINK]]},
        {"result": 5},
        {"urls": 5},
        {"result": {"image_url": "http://files/a\nb.png"}},
        {"result_url": "http://\ud800/"},
    ],
)
def test_results_in_no_form_of_the_api_are_its_error(script: Any, body: Any) -> None:
    with pytest.raises(ApiError, match="no form of this API") as caught:
        script(httpx.Response(200, content=json.dumps(body))).run(calls().post("crop", b"{}", None))
    assert caught.value.code is None
    done = httpx.Response(200, content=json.dumps({"status": "COMPLETED", **body}))
    with pytest.raises(ApiError, match="no form of this API"):
        script(done).run(calls().wait(Answer({}, is_pending=True, request_id="r1"), 5))


@pytest.mark.parametrize("state", [["COMPLETED"], 5, {"status": "ERROR", "error": "no"}])
def test_a_state_in_no_form_of_the_api_is_its_error(script: Any, state: Any) -> None:
    run = script(httpx.Response(200, json=state))
    with pytest.raises(ApiError):
        run.run(calls().wait(Answer({}, is_pending=True, request_id="r1"), 5))


def test_the_id_of_a_request_stays_one_part_of_the_path(script: Any) -> None:
    run = script(httpx.Response(200, json={"status": "COMPLETED"}))
    run.run(calls().wait(Answer({}, is_pending=True, request_id="a/b\n?c"), 5))
    assert run.requests[0].url.raw_path == b"/v2/status/a%2Fb%0A%3Fc"

"""`Idempotency-Key`: a repeated call runs once and gets the first answer again."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models.errors import ModelUnavailableError
from models.roles import INPAINTING, MATTING, Role
from server.app import create_app
from server.settings import Settings
from storage.errors import DatabaseUnavailableError
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import ROUTES, TOKEN, b64, fields, mask, photo

Wait = Callable[[Callable[[], bool]], None]
KEY = {"Idempotency-Key": "0b1f6c1e-4c0e"}
REMOVE = "/v1/background/remove"
BODY = {"file": b64(photo())}


def is_replay(answer: httpx.Response) -> bool:
    """Whether an answer was stored."""
    return answer.headers.get("idempotent-replayed") == "true"


def same(one: httpx.Response, other: httpx.Response) -> bool:
    """Whether two answers have the same status and the same bytes."""
    kind = "content-type"
    return (one.status_code, one.content, one.headers[kind]) == (
        other.status_code,
        other.content,
        other.headers[kind],
    )


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("sync", [True, False])
def test_a_repeated_call_gets_the_same_bytes(client: TestClient, route: str, sync: bool) -> None:
    body = {**fields(route), "sync": sync}
    first = client.post(route, json=body, headers=KEY)
    again = client.post(route, json=body, headers=KEY)
    assert first.status_code == 200, first.text
    assert not is_replay(first)
    assert is_replay(again)
    assert same(first, again)


def test_the_work_is_done_once(client: TestClient, fakes: FakeModels) -> None:
    for _ in range(3):
        assert client.post(REMOVE, json=BODY, headers=KEY).status_code == 200
    assert fakes.use_count == 1
    assert client.post(REMOVE, json=BODY).status_code == 200
    assert fakes.use_count == 2


def test_a_call_without_a_key_is_answered_as_ever(client: TestClient) -> None:
    answers = [client.post(REMOVE, json=BODY) for _ in range(2)]
    assert answers[0].content != answers[1].content
    assert not any("idempotent-replayed" in answer.headers for answer in answers)


def test_a_multipart_body_may_come_with_another_boundary(
    client: TestClient, fakes: FakeModels
) -> None:
    answers = []
    for boundary in ("one", "another"):
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        upload = {"file": ("a.png", photo(), "image/png")}
        answers.append(
            client.post(REMOVE, files=upload, data={"sync": "true"}, headers={**KEY, **kind})
        )
    assert answers[0].request.content != answers[1].request.content
    assert same(*answers)
    assert is_replay(answers[1])
    assert fakes.use_count == 1


@pytest.mark.parametrize(
    ("path", "change"),
    [
        (REMOVE, {"file": b64(photo(321))}),
        (REMOVE, {"sync": False}),
        (f"{REMOVE}?content_moderation=true", {}),
        ("/v1/crop", {}),
        ("/v1/register", {}),
    ],
)
def test_another_request_with_the_key_is_422(
    client: TestClient, path: str, change: dict[str, Any]
) -> None:
    client.post(REMOVE, json=BODY, headers=KEY)
    answer = client.post(path, json={**BODY, **change}, headers=KEY)
    refused(answer, 422)
    assert answer.json()["parameter"] == "Idempotency-Key"
    assert answer.json()["status"] == "IDEMPOTENCY_KEY_REUSED"
    assert "Idempotency-Key" in answer.json()["message"]


@pytest.mark.parametrize("key", ["", "   ", "x" * 256, "a\tb", "naïve", "a\x7f"])
def test_a_malformed_key_is_400(client: TestClient, fakes: FakeModels, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    answer = client.post(REMOVE, json=BODY, headers=headers)
    refused(answer, 400)
    assert answer.json()["parameter"] == "Idempotency-Key"
    assert fakes.use_count == 0


def test_two_keys_are_400(client: TestClient) -> None:
    headers = [(b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    refused(client.post(REMOVE, json=BODY, headers=headers), 400)


def test_the_longest_key_is_accepted(client: TestClient) -> None:
    key = {"Idempotency-Key": "~ " * 127 + "!"}
    answers = [client.post(REMOVE, json=BODY, headers=key) for _ in range(2)]
    assert is_replay(answers[1])


def test_a_call_without_a_token_is_401_before_anything_else(client: TestClient) -> None:
    client.post(REMOVE, json=BODY, headers=KEY)
    refused(client.post(REMOVE, json=BODY, headers={**KEY, "api_token": ""}), 401)


def test_the_same_key_of_two_organisations_is_two_keys(
    client: TestClient, fakes: FakeModels
) -> None:
    first = client.post(REMOVE, json=BODY, headers=KEY)
    other = client.post(REMOVE, json=BODY, headers={**KEY, "api_token": "secret-b"})
    assert other.status_code == 200
    assert not is_replay(other)
    assert first.content != other.content
    assert fakes.use_count == 2
    changed = {**BODY, "sync": False}
    answer = client.post(REMOVE, json=changed, headers={**KEY, "api_token": "secret-b"})
    refused(answer, 422)


def test_an_error_is_not_stored_and_the_corrected_call_runs(client: TestClient) -> None:
    wrong = client.post("/v1/eraser", json=BODY, headers=KEY)
    refused(wrong, 400)
    again = client.post("/v1/eraser", json=BODY, headers=KEY)
    refused(again, 400)
    assert not is_replay(again)
    right = client.post("/v1/eraser", json={**BODY, "mask_file": b64(mask())}, headers=KEY)
    assert right.status_code == 200
    assert not is_replay(right)


class FailingModels(FakeModels):
    """Models that fail until the test lets them work."""

    works = False

    def before(self, role: Role[Any]) -> None:
        """Fail."""
        if not self.works:
            raise ModelUnavailableError("no memory")


def test_a_server_error_is_not_stored(settings: Settings) -> None:
    models = FailingModels()
    with TestClient(create_app(settings, models), headers={**TOKEN, **KEY}) as client:
        refused(client.post(REMOVE, json=BODY), 503)
        models.works = True
        answer = client.post(REMOVE, json=BODY)
    assert answer.status_code == 200
    assert not is_replay(answer)


class BlockingModels(FakeModels):
    """Models that wait until the test lets them run, and then may fail."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.started, self.unblocked = threading.Event(), threading.Event()
        self.fails = fails
        self.runs = 0

    def before(self, role: Role[Any]) -> None:
        """Wait until the test lets the call run."""
        self.runs += role in (MATTING, INPAINTING)
        self.started.set()
        assert self.unblocked.wait(20)
        if self.fails:
            raise ModelUnavailableError("no memory")


Serve = Callable[..., tuple[TestClient, BlockingModels]]


@pytest.fixture
def serve(settings: Settings) -> Iterator[Serve]:
    """Start a server whose models wait, with changed settings."""
    entered: list[tuple[TestClient, BlockingModels]] = []

    def start(fails: bool = False, **change: Any) -> tuple[TestClient, BlockingModels]:
        models = BlockingModels(fails)
        app = create_app(settings.model_copy(update=change), models)
        client = TestClient(app, raise_server_exceptions=False, headers={**TOKEN, **KEY})
        entered.append((client, models))
        return client.__enter__(), models

    yield start
    for client, models in entered:
        models.unblocked.set()
        client.__exit__(None, None, None)


def hundred(client: TestClient, path: str, body: dict[str, Any]) -> list[Any]:
    """Start a hundred equal calls at once; return their futures."""
    threads = ThreadPoolExecutor(100)
    calls = [threads.submit(client.post, path, json=body) for _ in range(100)]
    threads.shutdown(wait=False)
    return calls


def test_a_hundred_calls_at_once_run_once_without_places_or_workers(serve: Serve) -> None:
    client, models = serve(workers=2, max_waiting=2)
    calls = hundred(client, REMOVE, BODY)
    assert models.started.wait(20)
    # The waiting calls have neither the second worker nor the second place.
    other = threading.Thread(
        target=lambda: client.post(REMOVE, json=BODY, headers={"Idempotency-Key": "b"})
    )
    other.start()
    threading.Timer(1, models.unblocked.set).start()
    answers = [call.result(60) for call in calls]
    other.join()
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum(map(is_replay, answers)) == 99
    assert models.runs == 2


def test_a_hundred_calls_at_once_share_an_error_and_the_next_runs(serve: Serve) -> None:
    client, models = serve(fails=True)
    calls = hundred(client, REMOVE, BODY)
    assert models.started.wait(20)
    threading.Timer(1, models.unblocked.set).start()
    answers = [call.result(60) for call in calls]
    assert {answer.status_code for answer in answers} == {503}
    assert models.runs < 10
    models.fails = False
    runs = models.runs
    answer = client.post(REMOVE, json=BODY)
    assert answer.status_code == 200
    assert not is_replay(answer)
    assert models.runs == runs + 1


def test_a_call_that_waits_for_too_long_is_409(serve: Serve) -> None:
    client, models = serve()
    client.app.state.idempotency._timeout_s = 0.3  # type: ignore[attr-defined]
    first = threading.Thread(target=client.post, args=[REMOVE], kwargs={"json": BODY})
    first.start()
    assert models.started.wait(20)
    answer = client.post(REMOVE, json=BODY)
    refused(answer, 409)
    assert int(answer.headers["retry-after"]) > 0
    models.unblocked.set()
    first.join()
    assert is_replay(client.post(REMOVE, json=BODY))


def test_another_request_is_refused_while_the_first_is_in_work(serve: Serve) -> None:
    client, models = serve()
    first = threading.Thread(target=client.post, args=[REMOVE], kwargs={"json": BODY})
    first.start()
    assert models.started.wait(20)
    refused(client.post("/v1/crop", json=BODY), 422)
    models.unblocked.set()
    first.join()


def test_an_answer_is_kept_for_the_time_of_its_setting(
    settings: Settings, wait_until: Wait
) -> None:
    brief = settings.model_copy(update={"idempotency_ttl_s": 1, "sweep_interval_s": 0.1})
    models = FakeModels()
    with TestClient(create_app(brief, models), headers={**TOKEN, **KEY}) as client:
        client.post(REMOVE, json=BODY)
        assert is_replay(client.post(REMOVE, json=BODY))
        keys = client.app.state.idempotency._keys  # type: ignore[attr-defined]
        wait_until(lambda: keys.find("a", KEY["Idempotency-Key"]) is None)
        assert client.post("/v1/crop", json=BODY).status_code == 200


def test_an_answer_is_replayed_after_a_restart(settings: Settings) -> None:
    answers = []
    for _ in range(2):
        with TestClient(create_app(settings, FakeModels()), headers={**TOKEN, **KEY}) as client:
            answers.append(client.post(REMOVE, json={**BODY, "sync": False}))
    assert same(*answers)
    assert is_replay(answers[1])


def test_a_job_is_started_once(client: TestClient, fakes: FakeModels, wait_until: Wait) -> None:
    body = {**BODY, "sync": False}
    links = {client.post(REMOVE, json=body, headers=KEY).json()["result_url"] for _ in range(3)}
    (link,) = links
    wait_until(lambda: client.get(local(link)).status_code == 200)
    assert fakes.use_count == 1


@pytest.mark.parametrize("route", ["/v1/register", "/v1/upload"])
def test_register_repeats_its_answer(client: TestClient, route: str) -> None:
    first = client.post(route, json=BODY, headers=KEY)
    assert first.json()["code"] == 200
    again = client.post(route, json=BODY, headers=KEY)
    assert same(first, again)
    assert is_replay(again)
    assert client.post(route, json=BODY).json()["code"] == 208


def test_routes_of_a_visual_repeat_their_answers(client: TestClient) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    url = "data:image/png;base64," + b64(mask())
    change = {"mask_source": "manual", "mask_url": url, "actions": {"remove": True}}
    for route, body in (("objects/remove", {"changes": [change]}), ("remove_image", {})):
        path, key = f"/v1/{visual_id}/{route}", {"Idempotency-Key": route}
        first = client.post(path, json=body, headers=key)
        assert first.status_code == 200, first.text
        again = client.post(path, json=body, headers=key)
        assert same(first, again)
        assert is_replay(again)


def test_a_get_has_no_key(client: TestClient) -> None:
    visual_id = client.post("/v1/register", json=BODY).json()["visual_id"]
    answers = [client.get(f"/v1/{visual_id}/info", headers=KEY) for _ in range(2)]
    assert not any(map(is_replay, answers))


def test_pages_may_send_the_key_and_read_whether_an_answer_is_stored(client: TestClient) -> None:
    origin = {"origin": "https://page.example"}
    asked = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "idempotency-key",
    }
    preflight = client.options(REMOVE, headers={**origin, **asked})
    assert preflight.headers["access-control-allow-headers"] == "idempotency-key"
    client.post(REMOVE, json=BODY, headers=KEY)
    answer = client.post(REMOVE, json=BODY, headers={**KEY, **origin})
    assert "Idempotent-Replayed" in answer.headers["access-control-expose-headers"]


def test_an_unavailable_database_does_not_lose_an_answer(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = client.app.state.idempotency._keys  # type: ignore[attr-defined]

    def fail(*_: Any) -> None:
        raise DatabaseUnavailableError("gone")

    with monkeypatch.context() as broken:
        broken.setattr(keys, "complete", fail)
        assert client.post(REMOVE, json=BODY, headers=KEY).status_code == 200
    # Nobody works on it any more, so the next call takes it over.
    answer = client.post(REMOVE, json=BODY, headers=KEY)
    assert answer.status_code == 200
    assert not is_replay(answer)
    assert is_replay(client.post(REMOVE, json=BODY, headers=KEY))

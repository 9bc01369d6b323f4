"""Webhooks of a running server: what they tell and when, tries, fairness, and restarts."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import create_engine, text
from starlette.testclient import TestClient

from models.errors import ModelUnavailableError
from models.roles import MATTING, Role
from server.app import create_app
from server.settings import Settings
from server.webhooks.delivery import TRIES, WEBHOOK_TRIES, Message, WebhookDelivery
from server.webhooks.sender import WebhookSender
from server.webhooks.webhook import Webhook
from tests.helpers.answers import local
from tests.helpers.fake_models import BlockingModels, FakeModels
from tests.helpers.requests import TOKEN, b64, encode, photo
from tests.helpers.version2 import state_of
from tests.helpers.webhook_receiver import Received, Receiver, receiving

Wait = Callable[[Callable[[], bool]], None]
V1, V2 = "/v1/background/remove", "/v2/image/edit/remove_background"
PICTURE = b64(photo())


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@contextmanager
def serving(
    folder: Path, models: FakeModels | None = None, **settings: Any
) -> Iterator[TestClient]:
    """Run a server that may call receivers on this machine and does not wait long between tries."""
    defaults: dict[str, Any] = {
        "data_dir": folder,
        "api_tokens": "a:secret-a,b:secret-b",
        "allowed_url_networks": "127.0.0.0/8",
        "webhook_retry_s": 0.01,
    }
    app = create_app(Settings(**(defaults | settings)), models or FakeModels())
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


def ask(client: TestClient, url: str, **fields: Any) -> str:
    """Request a background removal of v2; return its id."""
    answer = client.post(V2, json={"image": PICTURE, "webhook_url": url, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["request_id"])


def test_the_receiver_is_told_the_status_answer_when_it_holds(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    seen: list[tuple[Any, int]] = []
    with serving(tmp_path) as client:

        def look(one: Received) -> None:
            state = state_of(client, one.answer["request_id"])
            link = local(one.answer["result"]["image_url"])
            seen.append((state.content, client.get(link).status_code))

        receiver.before_answer = look
        request_id = ask(client, receiver.url())
        wait_until(lambda: len(seen) == 1)
        (one,) = receiver.received
        assert seen == [(one.body, 200)]
        assert one.answer["status"] == "COMPLETED"
        assert one.headers["Bria-Webhook-Id"] == one.answer["request_id"] == request_id
        assert one.is_signed_with("secret-a")
        time.sleep(1.5)
        assert len(receiver.received) == 1


def test_v1_tells_the_links_that_the_caller_has(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path) as client:
        body = {"file": PICTURE, "sync": False, "webhook_url": receiver.url()}
        answer = client.post(V1, json=body)
        wait_until(lambda: bool(receiver.received))
    (one,) = receiver.received
    assert one.answer["status"] == "COMPLETED"
    assert one.answer["result"] == answer.json()
    assert one.is_signed_with("secret-a")


def test_a_job_that_fails_is_told_too(tmp_path: Path, receiver: Receiver, wait_until: Wait) -> None:
    white = b64(encode(Image.new("L", (320, 240), 255)))
    with serving(tmp_path) as client:
        body = {"file": PICTURE, "mask_file": white, "sync": False, "webhook_url": receiver.url()}
        assert client.post("/v1/eraser", json=body).status_code == 200
        wait_until(lambda: bool(receiver.received))
        (one,) = receiver.received
        assert one.answer.keys() == {"status", "request_id", "error"}
        assert one.answer["status"] == "ERROR"
        assert one.answer["error"]["code"] == 506
        assert one.body == state_of(client, one.answer["request_id"]).content


def test_sync_requests_and_those_without_an_address_call_nobody(
    tmp_path: Path, receiver: Receiver
) -> None:
    with serving(tmp_path) as client:
        body = {"image": PICTURE, "sync": True, "webhook_url": receiver.url()}
        assert client.post(V2, json=body).status_code == 200
        assert client.post(V2, json={"image": PICTURE, "webhook_url": ""}).status_code == 202
        assert client.post(V2, json={"image": PICTURE, "webhook_url": None}).status_code == 202
        # With sync=true the field has no meaning, so any address is ignored.
        ignored = {"image": PICTURE, "sync": True, "webhook_url": "ftp://x"}
        assert client.post(V2, json=ignored).status_code == 200
        time.sleep(1.5)
    assert receiver.received == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://hooks.example.com/",
        "http://user:password@hooks.example.com/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data",
        "http://[::1]:1/",
        "http://hooks.example/" + "x" * 2048,
        7,
        ["http://hooks.example/"],
    ],
)
def test_an_address_that_cannot_be_called_is_400(tmp_path: Path, url: Any) -> None:
    with serving(tmp_path) as client:
        for path, field in ((V1, "file"), (V2, "image")):
            body = {field: PICTURE, "sync": False, "webhook_url": url}
            answer = client.post(path, json=body)
            assert answer.status_code == 400, answer.text
            assert "webhook_url" in answer.text
    assert not list((tmp_path / "sources").rglob("*.*"))
    assert not (tmp_path / "jobs.db").exists()


def test_a_receiver_that_refuses_is_told_five_times_at_most(
    tmp_path: Path, receiver: Receiver, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    before = WEBHOOK_TRIES.all()

    def counted() -> dict[str, int]:
        return {name: count - before.get(name, 0) for name, count in WEBHOOK_TRIES.all().items()}

    with serving(tmp_path) as client:
        twice = ask(client, receiver.url("/fail-first?times=2"))
        never = ask(client, receiver.url("/status?code=500&secret=hunter2"))
        wait_until(lambda: "given up" in caplog.text)
        wait_until(lambda: receiver.ids().count(twice) == 3)
        wait_until(lambda: counted().get("sent") == 1)
        assert (counted()["failed"], counted()["given_up"]) == (6, 1)
        assert state_of(client, never).json()["status"] == "COMPLETED"
    assert receiver.ids().count(never) == TRIES == 5
    assert f"webhook of {never} to 127.0.0.1: given up after 5 tries" in caplog.text
    assert "hunter2" not in caplog.text
    tries = [one for one in receiver.received if one.answer["request_id"] == never]
    assert len({one.body for one in tries}) == 1
    assert all(one.is_signed_with("secret-a") for one in tries)


def a_try(attempt: int) -> Message:
    """Return a try to send a webhook."""
    webhook = Webhook(url="http://hooks.example/", key="00")
    return Message(
        request_id="1" * 32,
        organisation="a",
        webhook=webhook,
        number=attempt,
        attempt=attempt,
        lookups=0,
    )


def test_the_waits_grow_over_45_minutes() -> None:
    delivery = WebhookDelivery(WebhookSender(), lambda *_: None)
    message = a_try(1)
    waits = []
    while (following := delivery.next(message, "failed")) is not None:
        message, wait = following
        waits.append(wait)
    assert waits == [67.5, 202.5, 607.5, 1822.5]
    assert sum(waits) == 45 * 60
    assert (message["number"], message["attempt"]) == (5, 5)


def test_an_outcome_that_is_late_costs_no_try() -> None:
    delivery = WebhookDelivery(WebhookSender(), lambda *_: None)
    message = a_try(3)
    waits = []
    for _ in range(2000):
        following = delivery.next(message, "waiting")
        assert following is not None
        message, wait = following
        waits.append(wait)
    assert waits[:6] == [1, 2, 4, 8, 16, 32]
    assert max(waits) == 32
    assert message["attempt"] == 3


def test_webhooks_that_wait_hold_no_thread(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path, webhook_retry_s=67.5) as client:
        threads = []
        for number in range(1, 13):  # one after another: the jobs themselves need threads
            ask(client, receiver.url("/status?code=503"))
            wait_until(lambda number=number: len(_delays(tmp_path)) == number)
            threads.append(threading.active_count())
        assert all(60 < delay < 70 for delay in _delays(tmp_path))
        assert threads[-1] <= threads[1] + 2
        started = time.monotonic()
    assert time.monotonic() - started < 10


def _delays(folder: Path) -> list[float]:
    """Return the seconds for which each webhook waits that is not due yet."""
    engine = create_engine(f"sqlite:///{folder}/jobs.db")
    query = "select delay_until_epoch_ms - created_at from workflow_status where status = 'DELAYED'"
    with engine.connect() as connection:
        delays = connection.execute(text(query)).scalars().all()
    engine.dispose()
    return [delay / 1000 for delay in delays]


def test_one_organisation_cannot_hold_up_the_webhooks_of_others(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path, webhook_concurrency=16, webhook_timeout_s=30) as client:
        for _ in range(12):
            ask(client, receiver.url("/hang"))
        wait_until(lambda: len(receiver.received) == 2)  # an eighth of 16
        answer = client.post(
            V2,
            json={"image": PICTURE, "webhook_url": receiver.url()},
            headers={"api_token": "secret-b"},
        )
        wait_until(lambda: answer.json()["request_id"] in receiver.ids())
        assert len(receiver.received) == 3
        started = time.monotonic()
    assert time.monotonic() - started < 10  # those that hang are left to the next start


def test_a_webhook_that_was_being_sent_at_the_shutdown_is_sent_after_the_next_start(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path, webhook_timeout_s=30) as client:
        request_id = ask(client, receiver.url("/hang"))
        wait_until(lambda: len(receiver.received) == 1)
    receiver.stopped.set()  # from now on it closes the connection at once
    with serving(tmp_path):
        wait_until(lambda: len(receiver.received) >= 3)
    assert set(receiver.ids()) == {request_id}


def test_webhooks_are_removed_from_the_database_with_the_jobs(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path) as client:
        ask(client, receiver.url("/fail-first?times=1"))
        wait_until(lambda: _tries(tmp_path) == 2)
        jobs = client.app.state.endpoints._durable  # type: ignore[attr-defined]
        later = datetime.now(UTC) + timedelta(hours=2)
        jobs.sweep(later - timedelta(hours=3), later)
        assert _tries(tmp_path) == 2
        jobs.sweep(later, later)
        assert _tries(tmp_path) == 0


def _tries(folder: Path) -> int:
    """Return the number of tries in the database that have ended."""
    engine = create_engine(f"sqlite:///{folder}/jobs.db")
    query = "select count(*) from workflow_status where name = 'webhook' and status = 'SUCCESS'"
    with engine.connect() as connection:
        count = connection.execute(text(query)).scalar_one()
    engine.dispose()
    return int(count)


def test_a_webhook_waits_for_its_job(tmp_path: Path, receiver: Receiver, wait_until: Wait) -> None:
    models = BlockingModels()
    with serving(tmp_path, models) as client:
        request_id = ask(client, receiver.url())
        assert models.started.wait(10)
        time.sleep(1.2)
        assert receiver.received == []
        models.unblocked.set()
        wait_until(lambda: receiver.ids() == [request_id])


def test_a_redirect_into_a_private_network_is_not_followed(
    tmp_path: Path, receiver: Receiver, wait_until: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "retouch")
    with serving(tmp_path, allowed_url_networks="127.0.0.1/32") as client:
        ask(client, receiver.url("/redirect?code=307&to=http://127.0.0.2:1/"))
        ask(client, receiver.url("/redirect?code=307&to=http://169.254.169.254/latest"))
        wait_until(lambda: caplog.text.count("given up") == 2)
    assert caplog.text.count("could not be reached") >= 2 * TRIES
    assert {one.path.partition("?")[0] for one in receiver.received} == {"/redirect"}


class UnavailableAtFirst(FakeModels):
    """Models that are unavailable for the first call."""

    tries = 0

    def before(self, role: Role[Any]) -> None:
        self.tries += role == MATTING
        if self.tries == 1:
            raise ModelUnavailableError("not yet")


def test_a_job_that_is_retried_is_told_once(
    tmp_path: Path, receiver: Receiver, wait_until: Wait
) -> None:
    with serving(tmp_path, UnavailableAtFirst()) as client:
        request_id = ask(client, receiver.url())
        wait_until(lambda: bool(receiver.received))
        time.sleep(1)
    assert receiver.ids() == [request_id]

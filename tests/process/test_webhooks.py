"""Webhooks of real servers that are killed: each request is told at least once, by whichever server lives."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import psycopg
import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import Server, b64, sample
from tests.helpers.services import Postgres
from tests.helpers.webhook_receiver import Receiver, receiving

ROUTE = "/v2/image/edit/remove_background"
JOBS = 5
KILLS = 3
_TIMEOUT_S = 180
SETTINGS = {
    "WORKERS": "1",
    "ALLOWED_URL_NETWORKS": "127.0.0.1/32",
    "WEBHOOK_RETRY_S": "0.2",
    "GRACE_S": "10",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def until(happened: Callable[[], object], *servers: Server) -> None:
    """Wait until something has happened."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline, [server.text()[-3000:] for server in servers]
        time.sleep(0.02)


def ask(server: Server, url: str) -> str:
    """Request a background removal; return its id."""
    body = {"image": b64(sample()), "webhook_url": url}
    answer = server.http.post(ROUTE, json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["request_id"])


def state(server: Server, request_id: str) -> dict[str, Any]:
    """Return what the status service answers about a request."""
    answer = server.http.get(f"/v2/status/{request_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def is_completed(server: Server, request_id: str) -> bool:
    """Whether the status service tells the result of a request."""
    return bool(state(server, request_id)["status"] == "COMPLETED")


def test_none_is_lost_if_the_process_is_killed_after_the_result(
    stopped: Server, receiver: Receiver
) -> None:
    server = stopped.start(**SETTINGS)
    ids = [ask(server, receiver.url()) for _ in range(JOBS)]
    for _ in range(KILLS):
        unfinished = [one for one in ids if state(server, one)["status"] == "IN_PROGRESS"]
        for one in unfinished[
            :1
        ]:  # killed just when its result is known, before its receiver is told
            until(lambda one=one: state(server, one)["status"] == "COMPLETED", server)
        server.end(SIGKILL)
        server.start(**SETTINGS)
    until(lambda: set(receiver.ids()) == set(ids), server)
    for told in receiver.received:
        assert told.is_signed_with("secret-a")
        assert told.answer == state(server, told.headers["Bria-Webhook-Id"])
        assert server.read(told.answer["result"]["image_url"]).status_code == 200


def test_a_shutdown_does_not_wait_for_a_receiver(stopped: Server, receiver: Receiver) -> None:
    server = stopped.start(**SETTINGS)
    request_id = ask(server, receiver.url("/hang"))
    until(lambda: len(receiver.received) == 1, server)
    began = time.monotonic()
    assert server.end(SIGTERM) == 0
    assert (
        time.monotonic() - began < 9
    )  # the receiver hangs for longer, and so does the grace period
    assert "Traceback" not in server.text()
    server.start(**SETTINGS)
    until(lambda: len(receiver.received) == 2, server)
    assert receiver.ids() == [request_id] * 2


@pytest.fixture
def team(
    tmp_path: Path, weights_dir: Path, lite: Pool, postgres: Postgres
) -> Iterator[list[Server]]:
    """Two servers, not started, that share a database and a store."""
    shared = {
        "RETOUCH_DATABASE_URL": postgres.database(),
        "RETOUCH_STORE": str(tmp_path / "store"),
    }
    servers = [Server(tmp_path / name, weights_dir) for name in ("one", "other")]
    for server in servers:
        server.environment = shared
    yield servers
    for server in servers:
        server.close()


def test_another_server_tells_what_a_killed_one_has_not(
    team: list[Server], receiver: Receiver
) -> None:
    killed, other = team
    killed.start(**SETTINGS)
    hangs = [ask(killed, receiver.url("/hang")) for _ in range(2)]
    until(lambda: set(receiver.ids()) == set(hangs), killed)
    later = [ask(killed, receiver.url()) for _ in range(3)]
    until(partial(is_completed, killed, later[0]), killed)
    killed.end(SIGKILL)
    other.start(**SETTINGS)
    until(lambda: set(later) <= set(receiver.ids()), other)
    until(lambda: all(receiver.ids().count(one) >= 2 for one in hangs), other)
    with psycopg.connect(other.environment["RETOUCH_DATABASE_URL"]) as connection:
        rows = connection.execute(
            "select distinct queue_name from dbos.workflow_status where name = 'webhook'"
        ).fetchall()
    assert rows == [("webhook",)]  # those that were recovered too, so that its limits hold


def test_of_two_servers_one_tells_each_webhook(team: list[Server], receiver: Receiver) -> None:
    one, other = (server.start(**SETTINGS) for server in team)
    ids = [ask(server, receiver.url()) for server in (one, other) * 4]
    until(lambda: set(receiver.ids()) == set(ids), one, other)
    time.sleep(2)
    assert sorted(receiver.ids()) == sorted(ids)
    for told in receiver.received:
        assert told.answer == state(one, told.headers["Bria-Webhook-Id"])

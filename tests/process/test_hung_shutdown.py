"""SIGTERM while PostgreSQL or the store hangs (SIGSTOP): the server ends orderly, and no job is lost."""

from collections.abc import Callable

import httpx2 as httpx
import psycopg
import pytest

from tests.helpers.server_process import Server, b64, sample, whole_picture
from tests.helpers.services import Postgres, SeaweedFs

Wait = Callable[[Callable[[], bool]], None]
JOBS = 3
GRACE_S = "600"
"""Longer than a test waits for the end of a server: one that needs its whole grace period fails."""


def accept_jobs(server: Server) -> list[str]:
    """Request some jobs, more than are done at once; return their links."""
    body = {"file": b64(sample()), "sync": False}
    answers = [server.http.post("/v1/background/remove", json=body) for _ in range(JOBS)]
    assert [answer.status_code for answer in answers] == [200] * JOBS
    return [str(answer.json()["result_url"]) for answer in answers]


def is_noticed(server: Server, service: str) -> bool:
    """Whether /readyz names a service as unavailable."""
    answer = server.http.get("/readyz")
    return bool(answer.status_code == 503 and answer.json().get("unavailable") == [service])


def check_end(server: Server) -> None:
    """Check that the server ends orderly, and that neither its grace period nor DBOS's limits end it."""
    assert server.end() == 0, server.text()
    assert "exiting without waiting" not in server.text()
    assert "did not exit within timeout" not in server.text()


def states(database: str) -> set[str]:
    """Return the states of the jobs in a database, and check that it has all of them."""
    with psycopg.connect(database) as connection:
        rows = connection.execute("select status from dbos.workflow_status").fetchall()
    assert len(rows) == JOBS
    return {str(row[0]) for row in rows}


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed", "not noticed yet"])
def test_a_database_that_hangs_does_not_delay_the_end(
    stopped: Server, postgres: Postgres, wait_until: Wait, noticed: bool
) -> None:
    database = postgres.database()
    settings = {"WORKERS": "1", "GRACE_S": GRACE_S, "DATABASE_URL": database}
    server = stopped.start(**settings)
    links = accept_jobs(server)
    postgres.freeze()
    try:
        if noticed:
            wait_until(lambda: is_noticed(server, "database"))
        check_end(server)
    finally:
        postgres.thaw()
    server.start(**settings)
    wait_until(lambda: states(database) == {"SUCCESS"})
    for link in links:
        assert whole_picture(server.read(link).content) == whole_picture(sample())


def test_a_store_that_hangs_does_not_delay_the_end(
    stopped: Server, seaweed: SeaweedFs, wait_until: Wait
) -> None:
    stopped.environment = {**seaweed.environment(), "no_proxy": "127.0.0.1"}
    address = {"STORE": seaweed.prefix(), "S3_ENDPOINT": seaweed.endpoint}
    settings = {"WORKERS": "1", "GRACE_S": GRACE_S, **address}
    server = stopped.start(**settings)
    links = accept_jobs(server)
    seaweed.freeze()
    try:
        wait_until(lambda: is_noticed(server, "store"))
        check_end(server)
    finally:
        seaweed.thaw()
    server.start(**settings)
    with httpx.Client() as reader:
        for link in links:
            wait_until(lambda link=link: reader.get(link).status_code == 200)
            assert whole_picture(reader.get(link).content) == whole_picture(sample())

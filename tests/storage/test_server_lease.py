"""The lease of a server: its lock is free if, and only if, its process has ended."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.engine import URL

from storage.database import database_url
from storage.errors import DatabaseUnavailableError
from storage.records import Records
from storage.server_lease import ServerLease, server_states
from tests.helpers.places import ROOT
from tests.helpers.services import Postgres


@pytest.fixture
def url(postgres: Postgres) -> URL:
    """A new database with its schema."""
    url = database_url(postgres.database())
    Records(url).close()
    return url


@pytest.fixture
def here(url: URL) -> Iterator[ServerLease]:
    lease = ServerLease(url)
    yield lease
    lease.close()


def test_the_jobs_of_a_running_server_are_not_recovered(url: URL, here: ServerLease) -> None:
    other = ServerLease(url)
    assert here.others() == [other.name]
    assert other.others() == [here.name]
    with here.lock_if_dead(other.name) as is_dead:
        assert not is_dead
    assert other.renew()
    other.close()


def test_the_jobs_of_a_stopped_server_are_recovered_by_one_server_only(
    url: URL, here: ServerLease
) -> None:
    third = ServerLease(url)
    gone = ServerLease(url)
    gone.close()
    with here.lock_if_dead(gone.name) as ours:
        assert ours
        with third.lock_if_dead(gone.name) as theirs:
            assert not theirs
    with third.lock_if_dead(gone.name) as theirs:
        assert theirs
    here.remove(gone.name)
    assert here.others() == [third.name]
    third.close()


def test_a_killed_process_counts_as_dead(url: URL, here: ServerLease) -> None:
    code = (
        "import sys, time; from storage.server_lease import ServerLease;"
        "from storage.database import database_url;"
        "lease = ServerLease(database_url(sys.argv[1])); print(lease.name, flush=True); time.sleep(60)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, url.render_as_string(hide_password=False)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    name = other.stdout.readline().strip()
    assert here.others() == [name]
    with here.lock_if_dead(name) as is_dead:
        assert not is_dead
    other.send_signal(signal.SIGKILL)
    other.wait(10)
    other.stdout.close()
    deadline = time.monotonic() + 10
    while True:
        with here.lock_if_dead(name) as is_dead:
            if is_dead:
                break
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_after_a_database_outage_no_server_counts_as_dead_at_once(
    postgres: Postgres, url: URL, here: ServerLease
) -> None:
    assert here.renew()
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailableError):
            here.renew()
        with pytest.raises(DatabaseUnavailableError):
            here.check()
    finally:
        postgres.start()
    here.check()
    assert not here.renew()
    other = ServerLease(url)
    with other.lock_if_dead(here.name) as is_dead:
        assert not is_dead
    other.close()
    deadline = time.monotonic() + 20
    while not here.renew():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_an_unavailable_database_stops_the_start() -> None:
    with pytest.raises(DatabaseUnavailableError):
        ServerLease(database_url("postgresql://retouch@127.0.0.1:1/none"))


def test_servers_that_start_together_create_one_schema(postgres: Postgres) -> None:
    url = database_url(postgres.database())
    with ThreadPoolExecutor(8) as servers:
        for records in servers.map(lambda _: Records(url), range(8)):
            records.close()


def test_it_tells_which_servers_are_alive_and_takes_no_lock(url: URL, here: ServerLease) -> None:
    gone, other = ServerLease(url), ServerLease(url)
    gone.close()
    records = Records(url)
    found = {one.name: one.is_alive for one in server_states(records.engine, 10)}
    assert found == {here.name: True, gone.name: False, other.name: True}
    with here.lock_if_dead(gone.name) as is_dead:
        assert is_dead
    (newest,) = server_states(records.engine, 1)
    assert newest.name == other.name
    other.close()
    records.close()

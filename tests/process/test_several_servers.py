"""Several servers on one PostgreSQL and one S3 store, with crashes and unavailable stores."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGKILL, SIGTERM

import httpx2 as httpx
import psycopg
import pytest

from models.runtime.pool import Pool
from tests.helpers.server_process import TOKEN, Server, b64, mask_for, sample, whole_picture
from tests.helpers.services import Postgres, SeaweedFs

TIMEOUT_S = 180
KILLS = 5
"""How often a server is killed while jobs run."""


class Team:
    """Servers with separate folders that share a database and a store."""

    def __init__(
        self, folder: Path, weights_dir: Path, postgres: Postgres, seaweed: SeaweedFs
    ) -> None:
        self._folder, self._weights_dir = folder, weights_dir
        self.postgres, self.seaweed = postgres, seaweed
        self.database = postgres.database()
        self._shared = {
            **seaweed.environment(),
            "no_proxy": "127.0.0.1",
            "RETOUCH_DATABASE_URL": self.database,
            "RETOUCH_STORE": seaweed.prefix(),
            "RETOUCH_S3_ENDPOINT": seaweed.endpoint,
        }
        self.servers: list[Server] = []
        self.reader = httpx.Client(timeout=30)

    def add(self, **settings: str) -> Server:
        """Start another server."""
        server = Server(self._folder / str(len(self.servers)), self._weights_dir)
        self.servers.append(server)
        server.environment = self._shared
        return server.start(**settings)

    def read_when_ready(self, link: str) -> bytes:
        """Read a link as soon as its result exists."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                answer = self.reader.get(link)
            except httpx.TransportError:  # the store is unavailable
                answer = None
            if answer is not None and answer.status_code == 200:
                return answer.content
            assert time.monotonic() < deadline, [s.text()[-2000:] for s in self.servers]
            time.sleep(0.1)

    def until_done(self) -> None:
        """Wait until every job is finished; fail if their number stops falling."""
        remaining = self.unfinished()
        deadline = time.monotonic() + TIMEOUT_S
        while remaining:
            time.sleep(0.5)
            current = self.unfinished()
            if current < remaining:
                deadline = time.monotonic() + TIMEOUT_S
            remaining = current
            assert time.monotonic() < deadline, [s.text()[-2000:] for s in self.servers]

    def unfinished(self) -> int:
        """Return the number of unfinished jobs."""
        return self.count("dbos.workflow_status where status <> 'SUCCESS'")

    def count(self, rows: str) -> int:
        """Return the number of rows of a table, or of those that meet a condition."""
        with psycopg.connect(self.database) as connection:
            row = connection.execute(f"select count(*) from {rows}").fetchone()
        assert row is not None
        return int(row[0])

    def close(self) -> None:
        """Stop every server."""
        self.reader.close()
        for server in self.servers:
            server.close()


@pytest.fixture
def team(
    tmp_path: Path, weights_dir: Path, lite: Pool, postgres: Postgres, seaweed: SeaweedFs
) -> Iterator[Team]:
    team = Team(tmp_path, weights_dir, postgres, seaweed)
    yield team
    team.close()


def job(server: Server, **fields: object) -> str:
    """Request a background removal with sync=false; return its link."""
    body = {"file": b64(sample()), "sync": False, **fields}
    answer = server.http.post("/v1/background/remove", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["result_url"])


def test_servers_share_visuals_and_results(team: Team) -> None:
    one, other = team.add(), team.add()
    data = sample()
    answer = one.http.post("/v1/register", files={"file": ("a.jpg", data)})
    visual_id = answer.json()["visual_id"]
    change = {"mask_source": "manual", "actions": {"remove": True}}
    url = "data:image/png;base64," + b64(mask_for(data))
    body = {"changes": [{"mask_url": url, **change}]}
    first = other.http.post(f"/v1/{visual_id}/objects/remove", json=body).json()
    second = one.http.post(
        f"/v1/{visual_id}/objects/remove", json={**body, "sid": first["sid"]}
    ).json()
    for link in (first["image_res"], second["image_res"]):
        assert link.startswith(team.seaweed.endpoint)
        assert whole_picture(team.reader.get(link).content) == whole_picture(data)
    other.http.post(f"/v1/{visual_id}/remove_image")
    assert one.http.get(f"/v1/{visual_id}/info").status_code == 404
    assert team.reader.get(first["image_res"]).status_code == 404


def test_a_failed_job_reports_the_error_in_the_headers_of_its_link(team: Team) -> None:
    server = team.add()
    data = sample()
    white = b64(mask_for(data))
    answer = server.http.post(
        "/v1/eraser", json={"file": b64(data), "mask_file": white, "sync": False}
    )
    assert team.read_when_ready(answer.json()["result_url"])
    visual_id = server.http.post("/v1/register", files={"file": ("a.jpg", data)}).json()[
        "visual_id"
    ]
    change = {"mask_id": 200, "mask_source": "generated", "actions": {"remove": True}}
    later = server.http.post(
        f"/v1/{visual_id}/objects/remove", json={"changes": [change], "sync": False}
    )
    assert later.status_code in (200, 506)
    if later.status_code == 200:
        assert team.read_when_ready(later.json()["image_res"]) == b""
        result = team.reader.get(later.json()["image_res"])
        assert result.headers["x-amz-meta-retouch-code"] == "506"


def test_another_server_finishes_the_jobs_of_a_killed_one(team: Team) -> None:
    killed = team.add(WORKERS="1")
    links = [job(killed) for _ in range(4)]
    body = {"image": b64(sample())}
    requests = [
        killed.http.post("/v2/image/edit/remove_background", json=body).json() for _ in range(4)
    ]
    killed.end(SIGKILL)
    other = team.add()
    expected = whole_picture(sample())
    for link in links:
        assert whole_picture(team.read_when_ready(link)) == expected
    team.until_done()
    for request in requests:
        path = f"/v2/status/{request['request_id']}"
        state = other.http.get(path).json()
        assert (state["status"], state["request_id"]) == ("COMPLETED", request["request_id"])
        link = state["result"]["image_url"]
        assert whole_picture(team.read_when_ready(link)) == expected
        assert other.http.get(path, headers={"api_token": "secret-b"}).status_code == 404


def test_another_server_does_the_waiting_jobs_of_one_that_shuts_down(team: Team) -> None:
    stopping, other = team.add(WORKERS="1", GRACE_S="10"), team.add()
    links = [job(stopping) for _ in range(8)]
    assert stopping.end(SIGTERM) == 0
    for link in links:
        assert whole_picture(team.read_when_ready(link)) == whole_picture(sample())
    assert other.http.get("/readyz").status_code == 200
    assert "Traceback" not in stopping.text()


KEY = {"Idempotency-Key": "order 1"}
HOLD_ANSWERS = """
create function hold() returns trigger language plpgsql as $$
begin perform pg_advisory_xact_lock(42); return new; end $$;
create trigger hold before update on idempotency_keys
for each row when (new.status_code is not null) execute function hold()
"""
"""Lets no server store an answer while a connection of the test holds this lock."""


def test_a_hundred_calls_with_a_key_at_two_servers_are_one_job(team: Team) -> None:
    servers = [team.add(), team.add()]
    body = {"file": b64(sample()), "sync": False}

    def ask(number: int) -> httpx.Response:
        base = servers[number % 2].http.base_url
        with httpx.Client(headers={**TOKEN, **KEY}, timeout=TIMEOUT_S) as http:
            return http.post(f"{base}/v1/background/remove", json=body)

    with ThreadPoolExecutor(100) as threads:
        answers = list(threads.map(ask, range(100)))
    assert {answer.status_code for answer in answers} == {200}
    (content,) = {answer.content for answer in answers}
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 99
    assert team.read_when_ready(answers[0].json()["result_url"])
    team.until_done()
    assert team.count("dbos.workflow_status") == 1
    assert ask(0).content == content


def test_another_server_answers_from_the_job_of_a_killed_one(team: Team) -> None:
    killed, other = team.add(), team.add()
    body = {"image": b64(sample())}
    path = "/v2/image/edit/remove_background"

    def ask() -> None:
        with (
            httpx.Client(headers={**TOKEN, **KEY}, timeout=TIMEOUT_S) as http,
            pytest.raises(httpx.TransportError),
        ):
            http.post(f"{killed.http.base_url}{path}", json=body)

    with psycopg.connect(team.database) as lock:
        lock.execute(HOLD_ANSWERS)
        lock.commit()
        lock.execute("select pg_advisory_xact_lock(42)")
        caller = threading.Thread(target=ask)
        caller.start()
        while not team.count("dbos.workflow_status"):
            time.sleep(0.01)
        time.sleep(0.3)
        killed.end(SIGKILL)
    caller.join()
    answer = other.http.post(path, json=body, headers=KEY)
    assert answer.status_code == 202, answer.text
    assert "idempotent-replayed" not in answer.headers
    status = f"/v2/status/{answer.json()['request_id']}"
    while other.http.get(status).json()["status"] == "IN_PROGRESS":
        time.sleep(0.1)
    assert other.http.get(status).json()["status"] == "COMPLETED"
    assert team.count("dbos.workflow_status") == 1
    assert other.http.post(path, json=body, headers=KEY).content == answer.content


def test_no_job_of_hundreds_is_lost_when_servers_are_killed(team: Team) -> None:
    """Three servers, each killed repeatedly at random moments, then restarted or replaced."""
    random_generator = random.Random(20261125)
    for _ in range(3):
        team.add()
    pictures = [sample(name, 120) for name in ("coffee", "chelsea", "astronaut")]
    masks = {data: b64(mask_for(data)) for data in pictures}
    links: list[tuple[bytes, str]] = []
    stop, enough = threading.Event(), threading.Event()

    def ask(seed: int) -> None:
        own = random.Random(seed)
        count = 0
        with httpx.Client(headers=TOKEN, timeout=30) as http:
            while count < 40 or not enough.wait(1):
                count += 1
                data = own.choice(pictures)
                body = {"file": b64(data), "mask_file": masks[data], "sync": False}
                while True:
                    base = own.choice(team.servers).http.base_url
                    try:
                        answer = http.post(f"{base}/v1/eraser", json=body)
                    except httpx.TransportError:
                        time.sleep(0.1)  # killed before it answered, so the job was not accepted
                        continue
                    if answer.status_code == 200:
                        links.append((data, answer.json()["result_url"]))
                        break
                    assert answer.status_code in (429, 503), answer.text
                    time.sleep(0.2)

    def kill() -> int:
        kills = 0
        while not stop.wait(random_generator.uniform(1.0, 2.5)):
            victim = random_generator.choice(team.servers)
            victim.end(SIGKILL)
            victim.start()
            kills += 1
            if kills == KILLS:
                enough.set()
        return kills

    with ThreadPoolExecutor(5) as threads:
        killing = threads.submit(kill)
        callers = [threads.submit(ask, seed) for seed in range(4)]
        try:
            for one in callers:
                one.result(600)
        finally:
            stop.set()
            enough.set()
        assert killing.result(60) >= KILLS
    assert len(links) == len({link for _, link in links}) >= 160
    team.until_done()
    results: dict[bytes, set[bytes]] = {}
    for data, link in links:
        results.setdefault(data, set()).add(team.read_when_ready(link))
    # Each job is finished; every server, and every repetition, gives the same result.
    assert [len(made) for made in results.values()] == [1, 1, 1]


@pytest.mark.parametrize("unavailable", ["seaweed", "postgres"])
def test_without_store_or_database_new_work_is_503_and_accepted_work_waits(
    team: Team, unavailable: str
) -> None:
    server = team.add(WORKERS="1")
    links = [job(server) for _ in range(6)]
    service = getattr(team, unavailable)
    service.stop()
    try:
        data = sample()
        began = time.monotonic()
        later = {"file": b64(data), "sync": False}
        answer = server.http.post("/v1/background/remove", json=later)
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"] == 503
        answer = server.http.post("/v1/register", files={"file": ("a.jpg", data)})
        assert answer.status_code == 503, answer.text
        assert int(answer.headers["retry-after"]) > 0
        assert server.http.get("/healthz").status_code == 200
        name = {"seaweed": "store", "postgres": "database"}[unavailable]
        while (ready := server.http.get("/readyz")).status_code == 200:
            time.sleep(0.1)
        assert ready.json()["unavailable"] == [name]
        assert time.monotonic() - began < 50
        if unavailable == "seaweed":
            answer = server.http.post("/v1/background/remove", json={"file": b64(data)})
            assert answer.status_code == 503, answer.text
        time.sleep(5)
    finally:
        service.start()
    for link in links:
        assert whole_picture(team.read_when_ready(link)) == whole_picture(sample())
    deadline = time.monotonic() + TIMEOUT_S
    while (again := server.http.post("/v1/background/remove", json=later)).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert whole_picture(team.read_when_ready(again.json()["result_url"]))


def test_a_start_without_store_or_database_reports_it(team: Team) -> None:
    server = team.add()
    server.end()
    for name, value, said in (
        ("S3_ENDPOINT", "http://127.0.0.1:1", "RETOUCH_STORE"),
        ("DATABASE_URL", "postgresql://retouch:hunter2@127.0.0.1:1/x", "RETOUCH_DATABASE_URL"),
    ):
        server.launch(API_TOKENS="a:secret-a", **{name: value})
        assert server.process is not None
        assert server.process.wait(TIMEOUT_S) == 1, server.text()
        assert said in server.text()
        assert "hunter2" not in server.text()

"""A server that is killed between the claim of an Idempotency-Key and its answer."""

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from signal import SIGKILL
from typing import Any

import httpx2 as httpx

from tests.helpers.server_process import Server, b64, sample, whole_picture

TIMEOUT_S = 180
KEY = {"Idempotency-Key": "order 1"}
V1, V2 = "/v1/background/remove", "/v2/image/edit/remove_background"


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def count(file: Path, table: str) -> int:
    """Return the number of rows in a table of an SQLite file; 0 if there is no such table yet."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        try:
            return int(connection.execute(f"select count(*) from {table}").fetchone()[0])
        except sqlite3.OperationalError:
            return 0


def send(server: Server, path: str, body: dict[str, Any]) -> threading.Thread:
    """Start a call that nobody will answer."""

    def call() -> None:
        with httpx.Client(headers=dict(server.http.headers), timeout=TIMEOUT_S) as client:
            try:
                client.post(f"{server.http.base_url}{path}", json=body, headers=KEY)
            except httpx.TransportError:
                return
            raise AssertionError("the server was killed too late")

    thread = threading.Thread(target=call)
    thread.start()
    return thread


def kill_before_answer(server: Server, path: str, body: dict[str, Any]) -> None:
    """Kill a server when it has accepted a job and cannot store its answer yet."""
    records, jobs = server.data / "records.db", server.data / "jobs.db"
    call = send(server, path, body)
    wait_for(lambda: count(records, "idempotency_keys") == 1)
    with closing(sqlite3.connect(records, timeout=TIMEOUT_S, isolation_level=None)) as lock:
        lock.execute("BEGIN IMMEDIATE")
        wait_for(lambda: jobs.exists() and count(jobs, "workflow_status") == 1)
        time.sleep(0.2)
        server.end(SIGKILL)
    call.join()


def test_a_job_that_was_accepted_before_a_kill_answers_the_repeated_call(stopped: Server) -> None:
    server = stopped.start()
    body = {"file": b64(sample()), "sync": False}
    kill_before_answer(server, V1, body)
    server.start()
    answer = server.http.post(V1, json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    assert "idempotent-replayed" not in answer.headers
    link = answer.json()["result_url"]
    wait_for(lambda: server.read(link).status_code == 200)
    assert whole_picture(server.read(link).content) == whole_picture(sample())
    assert count(server.data / "jobs.db", "workflow_status") == 1
    again = server.http.post(V1, json=body, headers=KEY)
    assert again.content == answer.content
    assert again.headers["idempotent-replayed"] == "true"


def test_a_request_of_v2_keeps_its_id_over_a_kill(stopped: Server) -> None:
    server = stopped.start()
    body = {"image": b64(sample())}
    kill_before_answer(server, V2, body)
    with closing(sqlite3.connect(server.data / "jobs.db")) as jobs:
        (request_id,) = jobs.execute("select workflow_uuid from workflow_status").fetchone()
    server.start()
    answer = server.http.post(V2, json=body, headers=KEY)
    assert answer.status_code == 202, answer.text
    assert answer.json()["request_id"] == request_id
    status = f"/v2/status/{request_id}"
    wait_for(lambda: server.http.get(status).json()["status"] == "COMPLETED")
    assert count(server.data / "jobs.db", "workflow_status") == 1


def test_work_for_a_waiting_caller_runs_again_after_a_kill(stopped: Server) -> None:
    server = stopped.start()
    body = {"file": b64(sample("coffee", 600))}
    call = send(server, V1, body)
    wait_for(lambda: count(server.data / "records.db", "idempotency_keys") == 1)
    server.end(SIGKILL)
    call.join()
    server.start()
    changed = server.http.post(V1, json={**body, "sync": False}, headers=KEY)
    assert changed.status_code == 422
    answer = server.http.post(V1, json=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    assert "idempotent-replayed" not in answer.headers
    assert server.http.post(V1, json=body, headers=KEY).content == answer.content
    assert len(list((server.data / "results").rglob("*.png"))) == 1


def test_a_caller_who_disconnects_frees_the_key_for_the_next(running: Server) -> None:
    body = json.dumps({"file": b64(sample("astronaut", 512))}).encode()
    headers = {**KEY, "api_token": "secret-a", "host": "x", "content-length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", running.port())) as connection:
            connection.sendall(f"POST {V1} HTTP/1.1\r\n{head}\r\n".encode() + body)
    answer = running.http.post(V1, content=body, headers=KEY)
    assert answer.status_code == 200, answer.text
    assert running.http.post(V1, content=body, headers=KEY).content == answer.content

"""The process: its start, its shutdown, and the jobs that it accepted in between."""

import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import pytest

from tests.helpers.server_process import TOKEN, Server, b64, mask_for, sample, whole_picture

Wait = Callable[[Callable[[], bool]], None]


def test_it_starts_answers_and_ends_without_network(stopped: Server) -> None:
    server = stopped.start(PRELOAD="true")
    answer = server.http.post("/v1/background/remove", files={"file": sample()})
    assert answer.status_code == 200, answer.text
    link = answer.json()["result_url"]
    assert whole_picture(server.read(link).content) == whole_picture(sample())
    assert server.end() == 0
    assert "Traceback" not in server.text()
    assert "WARNING" not in server.text(), server.text()
    outside = [f for f in server.left() if not f.startswith(str(server.data))]
    assert not outside, "files outside the data folder: does some library report to its maker?"
    # After a restart, the secret and the results of the first run are still valid.
    server.start()
    assert whole_picture(server.read(link).content) == whole_picture(sample())
    assert server.end(signal.SIGINT) == 0


def test_a_running_request_is_answered_before_the_end(stopped: Server) -> None:
    server = stopped.start(WORKERS="1")
    answers: list[httpx.Response] = []
    address = f"{server.http.base_url}/v1/image_expansion"

    def expand() -> None:
        files, data = {"file": sample("chelsea")}, {"canvas_size": "[1400,1200]"}
        answers.append(httpx.post(address, files=files, data=data, headers=TOKEN, timeout=60))

    caller = threading.Thread(target=expand)
    caller.start()
    time.sleep(0.5)  # the work takes longer; if it were finished, the test would only check less
    for _ in range(3):
        with pytest.raises(
            httpx.TimeoutException
        ):  # a caller who disconnects while the request waits
            server.http.post("/v1/background/remove", files={"file": sample()}, timeout=0.1)
    assert server.end() == 0
    caller.join()
    assert answers[0].status_code == 200, answers[0].text
    assert "Traceback" not in server.text()
    results = list((server.data / "results").rglob("*.png"))
    assert [whole_picture(result.read_bytes()) for result in results] == [(1400, 1200)]


def test_a_data_folder_of_a_newer_version_stops_the_start_with_one_line(stopped: Server) -> None:
    assert stopped.start().end() == 0
    records = sqlite3.connect(stopped.data / "records.db")
    records.execute("UPDATE alembic_version SET version_num = '0009'")
    records.execute("UPDATE migrated_by SET revision = '0009', program = '9.8.7'")
    records.commit()
    records.close()
    assert stopped.launch().wait(60) == 2
    lines = [line for line in stopped.text().splitlines() if "RETOUCH_DATA_DIR" in line]
    assert len(lines) == 1
    assert "Retouch 9.8.7" in lines[0]
    assert "Traceback" not in stopped.text()
    assert "alembic" not in stopped.text()


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"HOST": "0.0.0.0"}, 2, ["0.0.0.0", "API_TOKENS"]),
        (
            {"PORT": "http", "API_TOKENS": "secret", "PUBLIC_URL": "edit.example.com"},
            2,
            ["RETOUCH_PORT", "RETOUCH_API_TOKENS", "organisation:token", "RETOUCH_PUBLIC_URL"],
        ),
        ({"PROFILE": "nonsense"}, 1, ["nonsense"]),
        (
            {"PORTT": "hunter2", "OFFLOAD": "perhaps"},
            2,
            ["RETOUCH_PORTT is not a setting; did you mean RETOUCH_PORT?", "RETOUCH_OFFLOAD"],
        ),
    ],
)
def test_wrong_settings_stop_the_start_with_a_reason(
    stopped: Server, settings: dict[str, str], status: int, words: list[str]
) -> None:
    assert stopped.launch(**settings).wait(60) == status
    assert "Traceback" not in stopped.text()
    assert "hunter2" not in stopped.text()
    for word in words:
        assert word in stopped.text()


def test_unknown_settings_are_warned_of_except_those_of_kubernetes(
    stopped: Server,
) -> None:
    server = stopped.start(
        COLOUR="hunter2",
        DEVICE="",
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT_HTTP="80",
        PORT_80_TCP="tcp://10.0.0.1:80",
        API_PORT="tcp://10.0.0.2:80",
    )
    assert server.end() == 0
    warnings = [line for line in server.text().splitlines() if "WARNING" in line]
    assert len(warnings) == 1, warnings
    assert "RETOUCH_COLOUR" in warnings[0]
    assert "hunter2" not in server.text()


def test_every_returned_link_works_although_the_process_is_killed(
    stopped: Server, wait_until: Wait
) -> None:
    random_generator = random.Random(5)
    photo = sample()
    picture, mask = b64(photo), b64(mask_for(photo))
    jobs: list[tuple[str, dict[str, object]]] = [
        ("eraser", {"mask_file": mask}),
        ("crop", {"padding": 5}),
        ("background/blur", {"scale": 3}),
        ("background/replace", {"bg_prompt": "#336699", "num_results": 2}),
    ]
    all_links = []
    requests = []
    server = stopped.start()
    for _ in range(3):
        for route, fields in [*jobs, jobs[0], jobs[0], jobs[3]]:
            body = {"file": picture, "sync": False, **fields}
            answer = server.http.post(f"/v1/{route}", json=body)
            assert answer.status_code == 200, answer.text
            received = answer.json()
            links = (
                [received["result_url"]]
                if "result_url" in received
                else [r[0] for r in received["result"]]
            )
            all_links += links
        for _ in range(3):
            accepted = server.http.post("/v2/image/edit/remove_background", json={"image": picture})
            requests.append(accepted.json()["request_id"])
        time.sleep(random_generator.uniform(0, 1.2))
        assert server.end(signal.SIGKILL) == -signal.SIGKILL
        server.start()
    for link in all_links:
        wait_until(lambda link=link: server.read(link).status_code == 200)
        assert whole_picture(server.read(link).content) > (1, 1)
    for request_id in requests:
        wait_until(lambda one=request_id: state(server, one)["status"] != "IN_PROGRESS")
        result = state(server, request_id)["result"]
        assert whole_picture(server.read(result["image_url"]).content) > (1, 1)
    wait_until(lambda: not [f for f in server.left() if "/sources/" in f])
    assert "Traceback" not in server.text()
    assert server.end() == 0


def state(server: Server, request_id: str) -> dict[str, Any]:
    """Return what the status service tells about a request."""
    answer = server.http.get(f"/v2/status/{request_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_waiting_jobs_survive_a_shutdown(stopped: Server, wait_until: Wait) -> None:
    server = stopped.start(WORKERS="1")
    photo = sample("astronaut", 250)
    body = {"file": b64(photo), "sync": False}
    all_links = [
        server.http.post("/v1/erase_foreground", json=body).json()["result_url"] for _ in range(4)
    ]
    assert server.end() == 0
    waiting = [f for f in server.left() if "/sources/" in f]
    assert waiting, "all jobs were done before the end: the test shows nothing"
    server.start()
    for link in all_links:
        wait_until(lambda link=link: server.read(link).status_code == 200)
        assert whole_picture(server.read(link).content) == whole_picture(photo)

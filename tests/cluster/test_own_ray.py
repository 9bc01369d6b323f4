"""A server on all GPUs of one machine: a Ray of its own, and one process of models for each GPU.

There are no GPUs here: Ray is told of two, and the profile says that its models need them.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from models.catalog.profile import load_profile
from models.runtime.pool import Pool
from tests.helpers.server_process import Server, b64, sample

Wait = Callable[[Callable[[], bool]], None]
PROFILE = 'base = "lite"\n' + "".join(
    f"[replicas.{role}]\ngpus = 0.5\n" for role in load_profile("lite")
)
STARTED = re.compile(r"replica of matting, inpainting.*: process (\d+), GPU (\d)")


class Machine:
    """A server that thinks that its machine has two GPUs."""

    def __init__(self, folder: Path, weights_dir: Path) -> None:
        profile = folder / "two.toml"
        profile.write_text(PROFILE)
        self.server = Server(folder / "server", weights_dir)
        # Not in `folder`: Ray's sockets are 66 characters longer, and a path of one may have 107.
        self.ray = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.server.environment = {
            "RETOUCH_ENGINE": "ray",
            "RETOUCH_PROFILE": str(profile),
            "RETOUCH_WORKERS": "4",
            "RAY_OVERRIDE_RESOURCES": '{"GPU": 2}',
            "RAY_TMPDIR": str(self.ray),
            "no_proxy": "127.0.0.1,localhost",
        }

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Ray gives up where the machine is too busy. The server then ends, and its supervisor starts it again.
        """
        for _ in range(5):
            process = self.server.launch(API_TOKENS="a:secret-a")
            self.server.wait_for_port()
            limit = time.monotonic() + 600
            while process.poll() is None and time.monotonic() < limit:
                with suppress(httpx.TransportError):
                    if self.server.http.get("/readyz").status_code == 200:
                        return
                time.sleep(0.5)
            assert "Ray does not start on this machine" in self.server.text()
        raise AssertionError(self.server.text())

    def close(self) -> None:
        """Kill the server if it still runs, and remove what its Ray has written."""
        self.server.close()
        shutil.rmtree(self.ray, ignore_errors=True)

    def session(self) -> Path:
        """Return the folder of the Ray that runs."""
        return (self.ray / "ray" / "session_latest").resolve()

    def logged(self) -> dict[str, str]:
        """Return what each process of Ray has logged, by the name of its file."""
        files = self.session().glob("logs/worker-*")
        return {file.name: file.read_text() for file in files}

    def replicas(self) -> dict[int, str]:
        """Return the GPU of each replica that was started for one, by its process id."""
        found = [STARTED.findall(text) for text in self.logged().values()]
        return {int(process): gpu for rows in found for process, gpu in rows}

    def callees(self) -> set[int]:
        """Return the replicas that have made a matte."""
        return {
            int(process)
            for text in self.logged().values()
            for process, _ in STARTED.findall(text)
            if "matting took" in text
        }


def test_a_server_whose_ray_does_not_start_ends_with_an_error(
    tmp_path: Path, weights_dir: Path, lite: Pool
) -> None:
    server = Server(tmp_path / "server", weights_dir)
    # Longer than the path of a socket may be.
    server.environment = {"RETOUCH_ENGINE": "ray", "RAY_TMPDIR": str(tmp_path / ("long" * 30))}
    try:
        assert server.launch(API_TOKENS="a:secret-a").wait(180) == 1
        assert "shutting down: Ray does not start on this machine" in server.text()
        assert "Traceback" not in server.text()
    finally:
        server.close()


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool
) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("m"), weights_dir)
    try:
        machine.start()
        yield machine
    finally:
        machine.close()


def remove(machine: Machine) -> int:
    body = {"file": b64(sample("coffee", 300))}
    return machine.server.http.post("/v1/background/remove", json=body).status_code


def test_each_gpu_has_one_process_and_all_of_them_get_calls(
    machine: Machine, wait_until: Wait
) -> None:
    assert sorted(machine.replicas().values()) == ["0", "1"]
    with ThreadPoolExecutor(4) as callers:

        def call_all() -> bool:
            assert list(callers.map(lambda _: remove(machine), range(8))) == [200] * 8
            return len(machine.callees()) == 2

        wait_until(call_all)


def test_the_server_tells_how_many_gpus_it_uses(machine: Machine) -> None:
    told = machine.server.http.get("/capabilities").json()
    assert told["device"] == "2 GPUs of this machine, with a process for each"
    assert told["idle_gpus"] == 0


def test_no_call_is_lost_when_the_process_of_a_gpu_dies(machine: Machine, wait_until: Wait) -> None:
    before, stop = machine.replicas(), threading.Event()

    def keep_calling(_: int) -> list[int]:
        answers = []
        while not stop.is_set():
            answers.append(remove(machine))
        return answers

    with ThreadPoolExecutor(3) as callers:
        calling = [callers.submit(keep_calling, number) for number in range(3)]
        victim = max(before)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(machine.replicas()) > len(before))
        stop.set()
        answers = [status for one in calling for status in one.result(180)]
    assert set(answers) == {200}
    (fresh,) = machine.replicas().keys() - before.keys()
    assert machine.replicas()[fresh] == before[victim]


def test_another_program_cannot_call_this_ray(machine: Machine) -> None:
    (port,) = {file.read_text() for file in machine.session().glob("gcs_server_port_*")}
    code = f"import ray; ray.init('127.0.0.1:{port}'); print('let in')"
    other = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "b" * 64, "no_proxy": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **other},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode != 0
    assert "let in" not in done.stdout
    assert "uthentication" in done.stderr, done.stderr


def test_its_processes_end_with_the_server(machine: Machine, wait_until: Wait) -> None:
    processes = machine.replicas()
    assert machine.server.end(signal.SIGTERM) == 0
    wait_until(lambda: not any(Path(f"/proc/{process}").exists() for process in processes))
    assert "Traceback" not in machine.server.text()

"""The script serve-in-cluster: server and Ray node start together and stop together."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
from ray.cluster_utils import Cluster

from tests.helpers.places import ROOT

_TIMEOUT_S = 90


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of the head of a cluster."""
    options = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=options)
    yield cluster.address
    cluster.shutdown()  # type: ignore[no-untyped-call]


class Running:
    """The script and its child processes, in a separate process group."""

    def __init__(self, address: str, folder: Path, weights_dir: Path) -> None:
        (folder / "data").mkdir()
        (folder / "data" / "weights").symlink_to(weights_dir.absolute())
        self._log = folder / "log"
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "RAY_OBJECT_STORE_BYTES": "100000000",
            "RETOUCH_RAY_ADDRESS": f"{address}\r",  # as from a settings file with CRLF line ends
            "RETOUCH_DATA_DIR": str(folder / "data"),
            "RETOUCH_PORT": "0",
            "RETOUCH_WORKERS": "2",
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [ROOT / "deploy" / "serve-in-cluster"],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ready(self) -> bool:
        """Whether the server answers that it is ready."""
        found = re.search(r"running on (http://127\.0\.0\.1:\d+)", self.text())
        if found is None:
            return False
        try:
            return httpx.get(f"{found[1]}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def up_or_ended(self) -> bool:
        """Whether the server is ready, or the script has ended."""
        return self.process.poll() is not None or self.ready()

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + _TIMEOUT_S
        while not happened():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def text(self) -> str:
        """Return what was logged."""
        return self._log.read_text()

    def started(self, name: str) -> list[int]:
        """Return the ids of the script's descendant processes with a name, such as raylet."""
        parents: dict[int, int] = {}
        found: list[int] = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                text = status.read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended in the meantime
            # pid (command) state parent: the command may contain spaces and parentheses.
            before, after = text[: text.index("(")], text[text.rindex(")") + 1 :]
            pid = int(before)
            parents[pid] = int(after.split()[1])
            if text[len(before) + 1 :].startswith(name):
                found.append(pid)
        return [pid for pid in found if self._descends(pid, parents)]

    def _descends(self, pid: int, parents: dict[int, int]) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == self.process.pid:
                return True
        return False

    def close(self) -> None:
        """Kill what still runs."""
        for name in ("raylet", "python", "ray", "serve-in-cluste"):
            for pid in self.started(name):
                os.kill(pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)


@pytest.fixture
def running(head: str, tmp_path: Path, weights_dir: Path, lite: object) -> Iterator[Running]:
    """A server that has joined the cluster and is ready.

    On a busy machine a node may not start within Ray's 30 s, and the script ends: it is then started again,
    as Kubernetes does.
    """
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        running = Running(head, folder, weights_dir)
        try:
            running.until(running.up_or_ended)
            if running.process.poll() is None:
                yield running
                return
            assert "timed out during startup" in running.text(), running.text()
        finally:
            running.close()
    pytest.fail("no node started in time")


@pytest.mark.parametrize("address", [None, "", " \r\n"])
def test_without_an_address_the_script_says_what_is_missing(address: str | None) -> None:
    environment = {n: v for n, v in os.environ.items() if n != "RETOUCH_RAY_ADDRESS"}
    if address is not None:
        environment["RETOUCH_RAY_ADDRESS"] = address
    done = subprocess.run(
        [ROOT / "deploy" / "serve-in-cluster"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode != 0
    assert "host:port of the head of the Ray cluster" in done.stderr


def test_sigterm_shuts_the_server_down_and_then_its_node(running: Running) -> None:
    (raylet,) = running.started("raylet")
    running.process.terminate()
    assert running.process.wait(_TIMEOUT_S) == 0, running.text()
    assert "Finished server process" in running.text()
    running.until(lambda: not Path(f"/proc/{raylet}").exists())


def test_if_the_node_dies_the_server_ends_too(running: Running) -> None:
    (raylet,) = running.started("raylet")
    os.kill(raylet, signal.SIGKILL)
    assert running.process.wait(_TIMEOUT_S) == 1, running.text()
    assert "has left the cluster" in running.text()
    assert not running.ready()


def test_without_a_cluster_the_script_waits_until_sigterm(
    tmp_path: Path, weights_dir: Path
) -> None:
    running = Running("127.0.0.1:9", tmp_path, weights_dir)
    try:
        running.until(lambda: running.started("ray"))
        time.sleep(2)
        assert running.process.poll() is None, running.text()
        assert not running.ready()
        running.process.terminate()
        assert running.process.wait(_TIMEOUT_S) == 143, running.text()
    finally:
        running.close()

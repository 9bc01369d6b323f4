"""The check of the address to listen on, before anything is installed or fetched."""

import errno
import socket
from collections.abc import Iterator

import pytest

from server.listener import DEFAULT_HOST, DEFAULT_PORT, listener_problem, main
from server.public_host import listening_problem
from server.settings import ListenerSettings, Settings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which another program listens."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_taken_port_is_refused_with_the_setting_to_change(
    taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    for host in ("127.0.0.1", "0.0.0.0", "localhost"):
        environment = {"RETOUCH_HOST": host, "RETOUCH_PORT": f" {taken}\r"}
        assert main(environment) == 2
        assert capsys.readouterr().err == (
            f"settings: RETOUCH_PORT {taken}: another program listens on {host} port {taken};"
            " end it, or set RETOUCH_PORT to another port\n"
        )


def test_a_taken_second_port_is_refused_with_its_own_setting(taken: int) -> None:
    problem = listening_problem(Settings(port=0, operator_port=taken))
    assert str(problem).startswith(f"RETOUCH_OPERATOR_PORT {taken}: another program listens on")
    assert str(problem).endswith("set RETOUCH_OPERATOR_PORT to another port")
    assert listening_problem(Settings(port=0, operator_port=0)) is None


def test_a_port_whose_last_server_has_just_ended_is_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        caller = socket.create_connection(("127.0.0.1", port))
        answered, _ = server.accept()
        answered.close()  # the server's side closes first, and its port stays in TIME_WAIT
        caller.close()
    assert listener_problem("127.0.0.1", port) is None
    assert listener_problem("127.0.0.1", 0) is None


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "RETOUCH_HOST 192.0.2.1: this machine has no such address"),
        ("no-such-name.invalid", "RETOUCH_HOST no-such-name.invalid: no such address"),
        ("a..b", "RETOUCH_HOST a..b: no such address"),
    ],
)
def test_an_address_of_another_machine_is_refused(host: str, words: str) -> None:
    assert words in str(listener_problem(host, 0))


def test_a_port_that_this_user_may_not_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(socket.socket):
        def bind(self, address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "socket", Closed)
    assert "may not listen on port 80;" in str(listener_problem("127.0.0.1", 80))


@pytest.mark.parametrize("port", ["http", "-1", "65536", "80.5", "\u0661"])
def test_a_port_that_is_no_port_is_left_to_the_server(port: str) -> None:
    assert main({"RETOUCH_PORT": port, "RETOUCH_HOST": "192.0.2.1"}) == 0


@pytest.mark.parametrize("port", ["", " ", "tcp://10.0.0.1:80"])
def test_a_port_that_counts_as_unset_is_the_default(port: str) -> None:
    assert main({"RETOUCH_PORT": port, "RETOUCH_HOST": "192.0.2.1"}) == 2


def test_the_defaults_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETOUCH_HOST", "RETOUCH_PORT"):
        monkeypatch.delenv(name, raising=False)
    settings = ListenerSettings()
    assert (settings.host, settings.port) == (DEFAULT_HOST, DEFAULT_PORT)

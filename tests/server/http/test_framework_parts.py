"""The undocumented parts of uvicorn, starlette and FastAPI that the server uses.

If an upgrade moves or renames one of them, a test here fails and names it.
"""

import importlib.metadata
import inspect
import tomllib
from typing import Any

import h11
import pytest
import uvicorn
from fastapi import FastAPI
from h11._readers import ChunkedReader
from h11._receivebuffer import ReceiveBuffer
from starlette.formparsers import MultiPartParser
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import FileResponse
from uvicorn.protocols.http import h11_impl
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

from server.http import framing, multipart
from server.http.connection import TimeoutConnection
from server.http.cors import BrowserCors
from server.http.results import ResultFile
from server.http.shutdown import GracefulServer
from tests.helpers.places import ROOT

OVERRIDDEN = [
    (TimeoutConnection, h11_impl.H11Protocol),
    (GracefulServer, uvicorn.Server),
    (framing.StrictConnection, h11.Connection),
    (framing._StrictBuffer, ReceiveBuffer),
    (ResultFile, FileResponse),
    (multipart._Parser, MultiPartParser),
    (BrowserCors, CORSMiddleware),
]
NEW = {
    "_is_idle",
    "_unread",
    "_wait",
    "_watch",
    "_check_reset",
    "_waits_for_body",
    "is_slow",
    "close_now",
    "_refuse_connections",
    "_restore_signal_handlers",
    "_make_protocol",
    "_acceptor",
    "begin_answer",
    "skip_empty_line",
    "_check_line_ends",
}
"""Methods that the server adds."""


def signature(of: Any) -> list[tuple[str, Any]]:
    return [(p.name, p.kind) for p in inspect.signature(of).parameters.values()]


@pytest.mark.parametrize(("own", "base"), OVERRIDDEN)
def test_every_overridden_method_exists_in_the_framework(own: type, base: type) -> None:
    methods = {name for name, member in vars(own).items() if inspect.isfunction(member)}
    for name in methods - NEW - {"__init__"}:
        assert hasattr(base, name), f"{base.__name__}.{name}"
        assert signature(getattr(own, name)) == signature(getattr(base, name)), name
    for name in methods & NEW:
        assert not hasattr(base, name), f"{base.__name__} now has its own {name}"


def made_connection() -> h11_impl.H11Protocol:
    config = uvicorn.Config(FastAPI(), ws="none", lifespan="off", log_config=None)
    # The loop is not used before a connection is made.
    return h11_impl.H11Protocol(config, ServerState(), {}, _loop=object())


@pytest.mark.parametrize(
    "name",
    ["cycle", "flow", "loop", "transport", "timeout_keep_alive", "timeout_keep_alive_task"],
)
def test_a_connection_has(name: str) -> None:
    assert hasattr(made_connection(), name)


@pytest.mark.parametrize(
    ("owner", "parts"),
    [
        (h11_impl.RequestResponseCycle.__init__, ["self.response_complete", "self.keep_alive"]),
        (FlowControl.__init__, ["self.write_paused"]),
        (uvicorn.Server.__init__, ["self._captured_signals", "self.should_exit", "self.started"]),
        (uvicorn.Server.startup, ["self.servers"]),
        (
            uvicorn.Server.shutdown,
            ["connection.shutdown()", "self.config.timeout_graceful_shutdown"],
        ),
        (uvicorn.Server.main_loop, ["self.on_tick(counter)", "asyncio.sleep(0.1)"]),
        (uvicorn.Server.capture_signals, ["self.handle_exit", "self._captured_signals"]),
        (h11_impl.H11Protocol.on_response_complete, ["self.timeout_keep_alive_handler"]),
        (h11_impl.H11Protocol.connection_made, ["FlowControl(transport)"]),
        (h11_impl.H11Protocol.handle_events, ["self.conn.next_event()", "self.send_400_response("]),
        (h11_impl.H11Protocol.__init__, ["self.conn = h11.Connection("]),
        (h11.Connection.__init__, ["self._receive_buffer = ReceiveBuffer()"]),
        (h11.Connection.next_event, ["self._extract_next_receive_event()"]),
        (h11.Connection._respond_to_state_changes, ["self._reader = self._get_io_object("]),
        (ReceiveBuffer.__init__, ["self._data = bytearray()"]),
        (ChunkedReader.__call__, ["buf.maybe_extract_lines()"]),
        (uvicorn.Server.startup, ["config.http_protocol_class(", "app_state=self.lifespan.state"]),
        (FastAPI.openapi, ["self.openapi_schema"]),
    ],
)
def test_the_framework_still_uses(owner: Any, parts: list[str]) -> None:
    source = inspect.getsource(owner)
    for part in parts:
        assert part in source, f"{owner.__qualname__}: {part}"


def test_uvicorn_is_limited_to_the_tested_minor_version() -> None:
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    major, minor, *_ = importlib.metadata.version("uvicorn").split(".")
    bound = next(line for line in dependencies if line.startswith("uvicorn"))
    assert bound == f"uvicorn[standard]>={major}.{minor},<{major}.{int(minor) + 1}"

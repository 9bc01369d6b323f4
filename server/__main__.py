"""Start the server: read the settings, listen, and make the application while uvicorn runs."""

import contextlib
import functools
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING

import cv2
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from models.catalog.profile import load_profile
from models.errors import (
    InvalidSettingsError,
    RayNotInstalledError,
    UnknownDeviceError,
    UnknownProfileError,
    WeightsUnavailableError,
)
from models.log_lines import configure_logs
from models.runtime.allocator import bound_memory
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.runtime.ray.opening import open_cluster, open_machine
from models.settings import DeploymentSettings, read_settings, warn_of_unknown_names
from models.start_progress import StartProgress
from models.variables import tidy_credentials
from server.app import create_app, create_waiting_app
from server.context import WarmModels
from server.dependencies import Dependencies
from server.descriptors import max_connections, raise_descriptor_limit
from server.first_token import first_token_text
from server.greeting import better_profile, greeting
from server.http.audit import OFF, open_audit_log
from server.http.connection import TimeoutConnection
from server.http.open_connections import OpenConnections
from server.http.shutdown import GracefulServer, Shutdown
from server.public_host import listening_problem, public_host_problem
from server.settings import Settings
from server.starting import StartingApp
from server.tracing.opening import open_tracing
from storage.errors import (
    DatabaseUnavailableError,
    FolderInUseError,
    NewerSchemaError,
    StoreUnavailableError,
)
from storage.folder_lock import FolderLock

if TYPE_CHECKING:
    from server.tracing.spans import Tracing

log = logging.getLogger("retouch")

_SWITCH_INTERVAL_S = 0.0005
"""Seconds after which a thread that computes in Python gives way to another one: a tenth of Python's own. A worker
waits so long for the interpreter lock after each of its calls of a library, if the event loop is busy."""


def main() -> int:
    """Serve until SIGTERM or Ctrl-C; return the exit status.

    It is 2 if the settings are invalid, 1 if the weights, the store, the database or a Ray of
    its own are unavailable.
    """
    tidy_credentials(os.environ)
    try:
        settings = read_settings(Settings)
        if settings.engine == "ray" and not settings.ray_address:
            read_settings(DeploymentSettings)  # of the Ray that this process starts
        tracing = open_tracing(os.environ)
    except InvalidSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    configure_logs(settings.log_format, settings.log_level)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    warn_of_unknown_names()
    bound_memory(settings.workers)
    # Requests run in parallel, one thread each; further threads in OpenCV would compete with them.
    cv2.setNumThreads(1)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    problem = listening_problem(settings) or open_audit_log(settings.audit_log)
    if problem is not None:
        print(f"settings: {problem}", file=sys.stderr)
        return 2
    try:
        # Two servers with their SQLite files in one folder would run each other's jobs.
        lock = FolderLock(settings.data_dir) if settings.database_url is None else None
        load_profile(settings.profile)  # refuse an unknown one before listening
        token_text = first_token_text(settings)
        problem = public_host_problem(settings)
    except (OSError, FolderInUseError, NewerSchemaError, UnknownProfileError) as error:
        return _report(error, settings)
    if problem is not None:
        print(f"settings: {problem}", file=sys.stderr)
        return 2
    if token_text is not None:
        print(token_text, flush=True)
    status = _serve(settings, tracing)
    if lock is not None:
        lock.close()
    return status


def _greeting(app: FastAPI, settings: Settings, port: int) -> str:
    """Return what a server that is ready says; see server.greeting."""
    dependencies: Dependencies = app.state.dependencies
    needs_token = dependencies.tokens.required
    return greeting(settings, port, app.state.models, needs_token=needs_token)


def _announce(text: str, settings: Settings) -> None:
    """Log what a server that is ready says. People get the command on a line of its own, to copy it."""
    first, _, command = text.partition("\n")
    if settings.log_format == "json":
        log.info("%s", " ".join(text.split()))
        return
    log.info("%s", first)
    if command:
        print(command, file=sys.stderr)


def _serve(settings: Settings, tracing: "Tracing | None") -> int:
    """Listen, make the application meanwhile, and serve; return the exit status."""
    shutdown = Shutdown(settings.drain_s, settings.grace_s)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    progress = StartProgress()
    starting = StartingApp(
        create_waiting_app(settings, shutdown, progress),
        lambda: create_app(settings, _models(settings, progress), shutdown, progress),
        shutdown,
        lambda app: _announce(_greeting(app, settings, server.port), settings),
    )
    connections = OpenConnections(max_connections(raise_descriptor_limit()))
    app = starting if tracing is None else tracing.around(starting)
    config = _uvicorn_config(settings, app, connections)
    server = GracefulServer(config, shutdown, connections, settings.operators)
    # After its shutdown uvicorn raises the signal again; here that is a normal exit.
    traced = contextlib.nullcontext() if tracing is None else tracing.opened()
    with contextlib.suppress(KeyboardInterrupt, SystemExit), traced:
        server.run()
    if starting.failure is not None:
        return shutdown.exit(_report(starting.failure, settings))
    return shutdown.exit(0 if server.started and not shutdown.failed else 1)


def _database_setting(settings: Settings) -> str:
    """Return the setting that chose the database, for an error message."""
    if settings.database_url is not None:
        return "RETOUCH_DATABASE_URL"
    return f"RETOUCH_DATA_DIR {settings.data_dir}"


def _report(error: Exception, settings: Settings) -> int:
    """Print why the server cannot start, and return the exit status; raise errors without a known cause."""
    match error:
        case FolderInUseError():
            text, status = f"settings: RETOUCH_DATA_DIR {error}", 2
        case StoreUnavailableError():
            text, status = f"settings: RETOUCH_STORE {settings.store}: {error}", 1
        case NewerSchemaError():
            text, status = f"settings: {_database_setting(settings)}: {error}", 2
        case DatabaseUnavailableError():
            text, status = f"settings: {_database_setting(settings)}: {error}", 1
        case OSError():
            text, status = f"settings: RETOUCH_DATA_DIR {settings.data_dir}: {error}", 2
        case RayNotInstalledError():
            text, status = f"settings: RETOUCH_ENGINE {error}", 2
        case UnknownProfileError() | WeightsUnavailableError():
            text, status = f"weights: {error}", 1
        case UnknownDeviceError():
            text, status = f"settings: {error}", 2
        case _:
            raise error
    print(text, file=sys.stderr)
    return status


def _uvicorn_config(
    settings: Settings, app: ASGIApp, connections: OpenConnections
) -> uvicorn.Config:
    """Return uvicorn's configuration for the app. connections: those that are open."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=functools.partial(  # type: ignore[arg-type]
            TimeoutConnection,
            open_connections=connections,
            logs_requests=settings.audit_log != OFF,
        ),
        ws="none",
        log_level=settings.log_level,
        log_config=None,
        server_header=False,
        access_log=False,  # server.http.audit writes one line a request, without the secrets of links
    )


def _models(settings: Settings, progress: StartProgress | None = None) -> WarmModels:
    """Return the models of the profile on the engine that the settings name. progress: is told of their start."""
    if settings.engine == "ray" and settings.ray_address:
        return open_cluster(settings.profile, settings.ray_address, settings.max_waiting, progress)
    if settings.engine == "ray":
        common = DeploymentSettings.model_fields.keys() & Settings.model_fields.keys()
        chosen = {name: getattr(settings, name) for name in common}
        return open_machine(DeploymentSettings(**chosen), progress)
    hint = better_profile(settings)
    pool = Pool.for_profile(
        settings.profile,
        settings.weights_dir,
        threads=settings.workers,
        models_dir=settings.models_dir,
        device=settings.device,
        dtype=settings.dtype,
        offload=settings.offload,
        memory_mb=settings.memory_mb,
        main_memory_mb=settings.main_memory_mb,
        cuda_graphs=settings.cuda_graphs,
        preload=settings.preload,
        progress=progress,
    )
    if hint is not None:
        log.info("%s", hint)
    return LocalEngine(pool)


if __name__ == "__main__":
    sys.exit(main())

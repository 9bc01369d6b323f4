"""The start of the server: it listens at once, and makes its application in the background."""

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from models.deadline import Deadline, deadline_scope
from models.errors import WorkCancelledError
from server.http.health import Readiness
from server.http.shutdown import Shutdown

log = logging.getLogger("retouch")

_ABANDON_S = 2.0
"""How long a shutdown waits for the making of the application, which stops at its next step."""


class StartingApp:
    """An ASGI application that passes requests to `waiting` until the real application is made.

    waiting: what answers until then. make: returns the application; it may fetch weights, so it
    runs on a thread, in a deadline scope that is cancelled if the process shuts down. If it or the
    startup of the application raises, the server ends and `failure` is that error. on_ready: called
    once the application is ready.
    """

    failure: Exception | None = None

    def __init__(
        self,
        waiting: FastAPI,
        make: Callable[[], FastAPI],
        shutdown: Shutdown,
        on_ready: Callable[[FastAPI], None] = lambda app: None,
    ) -> None:
        self._app = waiting
        self._make = make
        self._shutdown = shutdown
        self._on_ready = on_ready
        self._deadline = Deadline()
        self._is_making = True
        self._ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the protocol of ASGI for startup and shutdown."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        running = asyncio.create_task(self._run())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._end(running)
        await send({"type": "lifespan.shutdown.complete"})

    async def _run(self) -> None:
        """Make the application, start it, and stop it at the end."""
        try:
            app = await self._made()
            self._is_making = False
            async with app.router.lifespan_context(app):
                self._app = app
                await self._announce(app)
                await self._ended.wait()
        except WorkCancelledError:
            log.info("the start was interrupted")
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a library in Rust that panics raises no Exception
            if self._ended.is_set():
                log.exception("the application could not be stopped")
                return
            self.failure = error if isinstance(error, Exception) else RuntimeError(str(error))
            self._shutdown.failed = True

    async def _made(self) -> FastAPI:
        """Return the application, made on a thread that an exit of the process does not wait for."""
        made: concurrent.futures.Future[FastAPI] = concurrent.futures.Future()

        def run() -> None:
            made.set_running_or_notify_cancel()
            try:
                with deadline_scope(self._deadline):
                    made.set_result(self._make())
            except BaseException as error:
                made.set_exception(error)

        threading.Thread(target=run, name="start", daemon=True).start()
        return await asyncio.wrap_future(made)

    async def _announce(self, app: FastAPI) -> None:
        """Wait until the application is ready, or the process shuts down."""
        readiness: Readiness = app.state.readiness
        waits = [asyncio.create_task(event.wait()) for event in (readiness.done, self._ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if readiness.done.is_set() and not self._shutdown.begun:
            self._on_ready(app)

    async def _end(self, running: asyncio.Task[None]) -> None:
        self._ended.set()
        self._deadline.cancel()
        await asyncio.wait([running], timeout=_ABANDON_S if self._is_making else None)
        if running.done():
            return
        if self._is_making:  # it is stuck in one step, such as a connection that does not answer
            self._shutdown.unfinished = True
            running.cancel()
        await asyncio.wait([running])

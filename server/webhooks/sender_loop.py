"""An event loop on a thread of its own, on which workflows send webhooks."""

import asyncio
import threading
from concurrent.futures import CancelledError

from server.errors import JobInterruptedError
from server.webhooks.sender import WebhookSender

_CLOSE_TIMEOUT_S = 2.0


class SenderLoop:
    """Runs a sender for threads that wait; the loop's thread starts with the first webhook."""

    def __init__(self, sender: WebhookSender) -> None:
        self._sender = sender
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def send(self, url: str, key: bytes, webhook_id: str, body: bytes) -> None:
        """Send a webhook and wait for it; raises as the sender, and JobInterruptedError at `close`."""
        # Under the lock, so that `close` cancels whatever was scheduled before it.
        with self._lock:
            if self._closed:
                raise JobInterruptedError
            if self._loop is None:
                self._loop = _start_loop()
            work = self._sender.send(url, key, webhook_id, body)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result()
        except CancelledError as error:
            raise JobInterruptedError from error

    def close(self) -> None:
        """Cancel what is being sent and close the sender."""
        with self._lock:
            self._closed = True
            loop = self._loop
        if loop is not None:
            stopping = asyncio.run_coroutine_threadsafe(self._stop(), loop)
            stopping.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
            stopping.exception(_CLOSE_TIMEOUT_S)

    async def _stop(self) -> None:
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._sender.aclose()


def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        loop.close()

    threading.Thread(target=run, name="webhooks", daemon=True).start()
    return loop

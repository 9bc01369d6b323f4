"""Durable delivery of webhooks: each try is a short DBOS workflow in a queue; waits hold no thread.

A job's workflow enqueues the first try of its webhook before its own outcome is stored, so no crash can
lose the webhook. A try that finds the outcome not stored yet is enqueued again with a delay; so is one
that fails. A crash between a receiver's answer and the record of it repeats the try.
"""

import logging
import threading
from collections.abc import Callable
from typing import Literal, NotRequired, TypedDict

import httpx2 as httpx
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from models.log_context import JOB_ID, REQUEST_ID, LogContext, log_scope
from server.errors import ApiError, JobInterruptedError, NotFoundError, WebhookFailedError
from server.jobs.running import running
from server.webhooks.sender import WebhookSender
from server.webhooks.sender_loop import SenderLoop
from server.webhooks.webhook import Webhook
from storage.counts import Counts

log = logging.getLogger("retouch")

WEBHOOK_TRIES = Counts()
"""The results of the tries of this process: as of `TryResult`, or `GIVEN_UP` for the last one, if it failed."""
GIVEN_UP = "given_up"
WEBHOOK = "webhook"
"""The name of the workflows and of their queue in the database."""
TRIES = 5
RETRY_FACTOR = 3
"""How many times as long each wait between two tries is as the one before."""
_POLLING_INTERVAL_S = 0.5
"""Seconds between two looks into the queue, and so the longest delay of a webhook on an idle server."""
_ORGANISATION_SHARE = 8
"""One organisation may have one in so many of the webhooks that are sent at the same time."""
_START_TIMEOUT_S = 30.0
_MAX_DOUBLINGS = 5
"""An outcome that is not stored yet, or cannot be read, is looked up again after 1 s, 2 s, up to 32 s."""


class Message(TypedDict):
    """A try to send a webhook, as it is stored in the queue.

    number: of the workflow, from 1. attempt: of sending, from 1. lookups: how often the outcome was not
    stored yet. correlation_id: by which the caller knows the request; webhooks of release 0.2 have none.
    """

    request_id: str
    organisation: str
    webhook: Webhook
    number: int
    attempt: int
    lookups: int
    correlation_id: NotRequired[str]


ReadBody = Callable[[str, str], bytes | None]
"""Returns the status answer of a request of an organisation as JSON, or None while it has no outcome.
Raises NotFoundError if the status service does not know the request, ApiError and OSError if the
database is unavailable."""


TryResult = Literal["sent", "failed", "waiting", "gone"]
"""The result of a try. waiting: there is no outcome yet. gone: its outcome was removed already."""


class WebhookDelivery:
    """Sends the webhooks of the queue; one in each process, because DBOS has one instance.

    A webhook that this process does not finish is sent after the next start if the database is a file.
    With PostgreSQL any other process sends it.
    """

    def __init__(
        self,
        sender: WebhookSender,
        read_body: ReadBody,
        concurrency: int = 64,
        retry_s: float = 67.5,
    ) -> None:
        """Set how webhooks are sent.

        concurrency: webhooks that are sent at the same time. retry_s: seconds between the first two
        tries; each later wait is RETRY_FACTOR times as long.
        """
        self._loop = SenderLoop(sender)
        self._read_body = read_body
        self._concurrency = concurrency
        self._retry_s = retry_s
        self._registered = threading.Event()

    def open(self) -> None:
        """Let the workflows of DBOS use this delivery; before DBOS is launched."""
        _deliveries.append(self)

    def register(self) -> None:
        """Write the queue and its limits to the database; after DBOS is launched."""
        DBOS.register_queue(
            WEBHOOK,
            worker_concurrency=self._concurrency,
            partition_worker_concurrency=max(1, self._concurrency // _ORGANISATION_SHARE),
            polling_interval_sec=_POLLING_INTERVAL_S,
            on_conflict="always_update",
        )
        self._registered.set()

    def notify(
        self, request_id: str, organisation: str, webhook: Webhook, correlation_id: str = ""
    ) -> None:
        """Store the webhook of a request; within its workflow, when its outcome is known.

        correlation_id: as in `Message`.
        """
        _enqueue(
            Message(
                request_id=request_id,
                organisation=organisation,
                webhook=webhook,
                number=1,
                attempt=1,
                lookups=0,
                correlation_id=correlation_id,
            ),
            0,
        )

    def interrupt(self) -> None:
        """Stop sending; what is not sent stays in the queue. Before DBOS is destroyed."""
        self._loop.close()

    def close(self) -> None:
        """End what `open` began; after DBOS is destroyed."""
        _deliveries.remove(self)

    def attempt(self, message: Message) -> TryResult:
        """Try to send a webhook; only raises JobInterruptedError."""
        self._registered.wait(_START_TIMEOUT_S)  # tries of an earlier process begin before that
        what = f"webhook of {message['request_id']} to {_host(message)}, try {message['attempt']}"
        try:
            result = self._attempt(message)
            if result == "sent":
                log.info("%s: sent", what)
            return result
        except WebhookFailedError as error:
            log.info("%s: %s", what, error)
        except (ApiError, OSError) as error:
            log.warning("%s waits: %s", what, error)
            return "waiting"
        except Exception as error:
            if self._loop.is_closed:  # the database is being closed too
                raise JobInterruptedError from error
            log.exception(what)
        return "failed"

    def _attempt(self, message: Message) -> TryResult:
        try:
            body = self._read_body(message["organisation"], message["request_id"])
        except NotFoundError:
            log.warning("the webhook of %s is dropped: its outcome expired", message["request_id"])
            return "gone"
        if body is None:
            return "waiting"
        webhook = message["webhook"]
        key = bytes.fromhex(webhook["key"])
        self._loop.send(webhook["url"], key, message["request_id"], body)
        return "sent"

    def next(self, message: Message, result: TryResult) -> tuple[Message, float] | None:
        """Return the try that follows one with a result, and in how many seconds, if any does."""
        later = message.copy()
        later["number"] += 1
        if result == "waiting":
            later["lookups"] += 1
            return later, float(2 ** min(message["lookups"], _MAX_DOUBLINGS))
        if result != "failed":
            return None
        if message["attempt"] >= TRIES:
            log.warning(
                "webhook of %s to %s: given up after %d tries",
                message["request_id"],
                _host(message),
                TRIES,
            )
            return None
        later["attempt"] += 1
        return later, self._retry_s * RETRY_FACTOR ** (message["attempt"] - 1)


_deliveries: list[WebhookDelivery] = []
"""The delivery of this process is the last one: DBOS finds a workflow by name, not by object."""


@DBOS.workflow(name=WEBHOOK, max_recovery_attempts=None)
def deliver(message: Message) -> None:
    """Make one try to send a webhook; enqueue what follows it."""
    with running.noted(str(DBOS.workflow_id)), log_scope(_log_context(message)):
        result = _attempt(message)
        is_last = result == "failed" and message["attempt"] >= TRIES
        WEBHOOK_TRIES.add(GIVEN_UP if is_last else result)
        following = _deliveries[-1].next(message, result)
        if following is not None:
            _enqueue(*following)


@DBOS.step(name="send")
def _attempt(message: Message) -> TryResult:
    return _deliveries[-1].attempt(message)


def _log_context(message: Message) -> LogContext:
    name = message["request_id"]
    return {REQUEST_ID: message.get("correlation_id") or name, JOB_ID: name}


def _host(message: Message) -> str:
    """Return the host of a webhook, for the log: the rest of an address may hold secrets."""
    return httpx.URL(message["webhook"]["url"]).host


def _enqueue(message: Message, delay_s: float) -> None:
    """Store a try; first tries go before later ones, so that receivers that fail hold up no others."""
    with (
        SetWorkflowID(f"{message['request_id']}-webhook-{message['number']}"),
        SetEnqueueOptions(
            queue_partition_key=message["organisation"],
            priority=message["attempt"],
            delay_seconds=delay_s or None,
        ),
    ):
        DBOS.enqueue_workflow(WEBHOOK, deliver, message)

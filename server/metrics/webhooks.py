"""Metrics of webhooks: the tries to send them by outcome."""

from collections.abc import Iterator
from typing import get_args

from prometheus_client.metrics_core import Metric

from server.metrics.families import counters
from server.webhooks.delivery import GIVEN_UP, WEBHOOK_TRIES, TryResult


def webhooks() -> Iterator[Metric]:
    """Yield the outcomes of tries."""
    text = (
        "Tries to send a webhook, by outcome: sent; failed, to be tried again; given_up, the last one failed;"
        " waiting, there is nothing to tell yet; gone, what it tells has expired."
    )
    counts = dict.fromkeys((*get_args(TryResult), GIVEN_UP), 0) | dict(WEBHOOK_TRIES.all())
    yield counters("retouch_webhook_tries", text, "outcome", counts)

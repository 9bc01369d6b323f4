"""Measures what the metrics cost: the processor time of a request with eight stages, with and without them.

`python -m scripts.metrics_cost` calls an application that only goes through the eight stages of an edit: by turns
with the middleware that counts requests and the observer of the stages, and without both. It prints medians of the
paired rounds, in microseconds.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence

from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from models.stages import Stage, observing, stage, waited
from server.metrics.requests import CountRequests, RequestMetrics
from server.metrics.stages import StageMetrics

_ROUND = 1000
"""Requests of one round."""


async def _edit(scope: Scope, receive: Receive, send: Send) -> None:
    """Go through the stages of an edit, and answer."""
    scope["state"]["operation"] = "POST /v1/background/remove"
    with stage(Stage.INTAKE), stage(Stage.FETCH):
        pass
    waited(0.0, "call")
    with stage(Stage.DECODE):
        pass
    with stage(Stage.COMPOSE):
        with stage(Stage.MODEL, "matting"):
            pass
        with stage(Stage.ENCODE):
            pass
    with stage(Stage.STORE):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> Message:
    return {"type": "http.request"}


async def _send(message: Message) -> None:
    pass


async def _round(app: ASGIApp) -> float:
    """Return the processor time of one request, in microseconds: the mean of a round."""
    start = time.process_time()
    for _ in range(_ROUND):
        await app({"type": "http", "state": {}}, _receive, _send)
    return (time.process_time() - start) / _ROUND * 1e6


def measure(rounds: int) -> tuple[float, float]:
    """Return the microseconds of a request without metrics, and how many more it takes with them."""
    registry = CollectorRegistry()
    counted = CountRequests(_edit, RequestMetrics())
    observer = StageMetrics(registry)
    without, more = [], []
    for _ in range(rounds):
        bare = asyncio.run(_round(_edit))
        with observing(observer):
            full = asyncio.run(_round(counted))
        without.append(bare)
        more.append(full - bare)
    return statistics.median(without), statistics.median(more)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="metrics_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="pairs of rounds of 1,000 requests")
    without, more = measure(parser.parse_args(arguments).rounds)
    print(f"{more:.1f} us more for a request with eight stages; without metrics {without:.1f} us")


if __name__ == "__main__":
    main()

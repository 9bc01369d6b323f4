"""The lines of a task have the id of the request for which it runs, on whatever thread, also in a batch."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from models.log_context import log_context, log_scope
from models.roles import MATTING, MODERATION, Role
from models.runtime.calls import Inference
from models.runtime.oom_retry import RetryOnOutOfMemory
from models.runtime.scheduler import Scheduler
from tests.helpers.log_lines import written

RGB = np.zeros((64, 64, 3), np.uint8)


class Lines(logging.Handler):
    """Keeps what a server would write, formatted on the thread of the record."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += written([record])


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    log, handler = logging.getLogger("retouch"), Lines()
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def scheduler_of(model: Any, **options: Any) -> Scheduler:
    @contextmanager
    def use(_: Role[Any]) -> Iterator[Any]:
        logging.getLogger("retouch.models").warning("the model is loaded")
        yield model

    return Scheduler("device", 1, use, **options)


def test_a_task_has_the_context_of_who_submits_it() -> None:
    scheduler = Scheduler("test", 1)
    with log_scope({"request_id": "r1"}):
        first = scheduler.submit(log_context)
    assert first.result(10) == {"request_id": "r1"}
    assert scheduler.submit(log_context).result(10) == {}
    assert scheduler.close(10)


def test_a_call_from_a_task_keeps_the_context_on_the_thread_of_the_device(
    lines: list[dict[str, Any]],
) -> None:
    class Model:
        def score(self, rgb: Any) -> Any:
            return log_context()

    device, worker = scheduler_of(Model()), Scheduler("worker", 1)
    with log_scope({"request_id": "r1", "job_id": "j1"}):
        done: Any = worker.submit(lambda: device.call(MODERATION, RGB))
    assert done.result(10) == {"request_id": "r1", "job_id": "j1"}
    assert [(line["request_id"], line["job_id"]) for line in lines] == [("r1", "j1")]
    assert device.close(10)
    assert worker.close(10)


def test_a_retry_with_less_memory_names_the_request(lines: list[dict[str, Any]]) -> None:
    class Model:
        def matte(self, rgb: Any) -> Any:
            if rgb.shape[0] > 32:
                raise MemoryError
            return np.zeros(rgb.shape[:2], np.float32)

    def retry(role: Role[Any]) -> RetryOnOutOfMemory:
        return RetryOnOutOfMemory(role, "small", lambda: None)

    scheduler = scheduler_of(Model(), retry=retry)
    with log_scope({"request_id": "r1"}):
        scheduler.call(MATTING, RGB)
    assert scheduler.close(10)
    (line,) = [line for line in lines if "ran out of memory" in line["event"]]
    assert line["request_id"] == "r1"


def test_a_batch_that_fails_names_its_requests(
    lines: list[dict[str, Any]], wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    class Model:
        def batch_key(self, rgb: Any) -> object:
            return rgb.shape

        def infer(self, inputs: Any) -> Any:
            if len(inputs) > 1:
                raise ValueError("no batch today")
            return [log_context()["request_id"]]

    scheduler = scheduler_of(Model(), max_batch={MODERATION: 3})
    blocking = scheduler.submit(lambda: wait_until(lambda: scheduler.waiting == 3))
    futures = []
    for name in ("r1", "r2", "r3"):
        with log_scope({"request_id": name}):
            futures.append(scheduler.submit(Inference(MODERATION, (RGB,))))
    blocking.result(10)
    assert [future.result(10) for future in futures] == ["r1", "r2", "r3"]
    assert scheduler.close(10)
    (line,) = [line for line in lines if "a batch of 3 calls failed" in line["event"]]
    assert line["request_ids"] == ["r1", "r2", "r3"]

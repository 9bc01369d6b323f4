"""Metrics of the stages of requests: how long each takes, and how many calls of a model share a batch."""

from typing import Any

from prometheus_client import CollectorRegistry, Histogram

from models.stages import Observer, Passed, Stage

_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_SIZES = (1, 2, 4, 8, 16, 32)


class StageMetrics(Observer):
    """Observes all stages of the process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._seconds = Histogram(
            "retouch_stage_seconds",
            "Time of each stage of requests and jobs, without the stages within it. role: of the model; of a wait"
            " for a worker: check, call or job.",
            ("stage", "role"),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._batches = Histogram(
            "retouch_batch_size",
            "Calls of a model that were made together, by role; only models that take one call at a time.",
            ("role",),
            buckets=_SIZES,
            registry=registry,
        )
        self._by_stage: dict[tuple[Stage, str], Histogram] = {}
        self._by_role: dict[str, Histogram] = {}

    def end(self, passed: Passed, begun: Any) -> None:
        """Count a stage that has ended."""
        key = (passed.name, passed.role)
        found = self._by_stage.get(key)
        if found is None:
            found = self._by_stage[key] = self._seconds.labels(passed.name.value, passed.role)
        found.observe(passed.own_seconds)

    def batch(self, role: str, size: int) -> None:
        """Count a batch."""
        found = self._by_role.get(role)
        if found is None:
            found = self._by_role[role] = self._batches.labels(role)
        found.observe(size)

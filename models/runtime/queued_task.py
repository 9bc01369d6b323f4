"""What the queue of a scheduler knows of a task, and the priorities of tasks."""

from enum import IntEnum


class Priority(IntEnum):
    """The priority of a task among those of its tenant. The lowest number runs first."""

    CHECK_WITH_MODEL = 0
    """A check that has started, needs a model, and now waits for a worker."""
    CHECK = 1
    """A short check. A caller waits for it before the server answers with a link."""
    CALL = 2
    """Work that a caller waits for."""
    JOB = 3
    """Background work. No caller waits for it."""


class QueuedTask:
    """What the queue knows of a task.

    tenant: on whose behalf it runs; any text. cost: expected seconds of one thread, at least 0. memory: what
    it takes of the budget, in bytes; 0 for nothing.
    """

    def __init__(self, tenant: str, priority: Priority, cost: float, memory: int = 0) -> None:
        self.priority = priority
        self.cost = cost
        self.memory = memory
        self.tenants = [tenant]
        """The tenants that share its cost: several if their calls run as one batch."""
        self.number = 0
        self.started_at = 0.0
        self.charged = 0.0
        self.has_thread = False

    @property
    def tenant(self) -> str:
        """The tenant that queued it."""
        return self.tenants[0]

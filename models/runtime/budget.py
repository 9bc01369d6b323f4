"""What the fair queue asks of the budget that running tasks share."""

from typing import Protocol


class Budget(Protocol):
    """What the running tasks may take together of something, such as memory."""

    @property
    def reserved(self) -> object | None:
        """The work that was passed too often, so that nothing else starts before it; None if there is none."""
        ...

    def try_acquire(self, amount: int, work: object = None) -> bool:
        """Take an amount for a task if it fits now.

        work: the same object at each try; None for a task that nothing else ever waits for.
        """
        ...

    def release(self, amount: int) -> None:
        """Give back what a task took."""
        ...

    def withdraw(self, work: object) -> None:
        """Let nothing wait for a task that waited."""
        ...

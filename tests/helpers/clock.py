"""A clock that only a test moves."""


class Clock:
    """Returns `now`, in seconds; it stands still unless the test sets it."""

    def __init__(self, now: float = 5_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Return the time."""
        return self.now

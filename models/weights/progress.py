"""The progress of a fetch, for the person who waits for it."""

import sys
import time

from models.weights.resume import Progress

_INTERVAL_S = 10.0
"""Time between two lines of progress, unless stderr is a terminal."""


class ShownProgress:
    """Prints the progress of a fetch to stderr.

    On a terminal one line is rewritten; otherwise there is a line at the beginning of each file, and
    one every ten seconds.
    """

    def __init__(self) -> None:
        self._shown_at = 0.0

    def __call__(self, label: str, done: int, total: int) -> None:
        """Print it; see `models.weights.resume.Progress`."""
        size = f", {_mib(total)}" if total else ""
        share = f", {100 * done // total} %" if total and done else ""
        if sys.stderr.isatty():
            end = "\n" if total and done >= total else ""
            print(f"\r\x1b[Kfetching {label}{size}{share}", end=end, file=sys.stderr, flush=True)
        elif done == 0 or time.monotonic() - self._shown_at >= _INTERVAL_S:
            self._shown_at = time.monotonic()
            print(f"fetching {label}{size}{share}", file=sys.stderr, flush=True)


show_progress = ShownProgress()


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def numbered(progress: Progress, number: int, count: int) -> Progress:
    """Return a progress whose labels say which of how many parts it is."""
    return lambda label, done, total: progress(f"{label} ({number} of {count})", done, total)

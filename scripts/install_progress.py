"""The progress of an install: how many packages pip has collected, from the lines that it prints."""

import re
import sys
import time

_INTERVAL_S = 5.0
"""Time between two lines of progress, unless stderr is a terminal."""
_LARGE = re.compile(r"\(\d{3,}(\.\d+)? MB\)|GB\)")
"""The size of a package that is announced at once, because it takes long."""


class Progress:
    """Prints how many packages are there, from the lines that pip prints, to stderr.

    On a terminal one line is rewritten; otherwise there is a line every few seconds.
    """

    def __init__(self, total: int) -> None:
        """total: number of packages that pip will collect, as far as known."""
        self._total = total
        self._count = 0
        self._name = ""
        self._shown_at = time.monotonic()
        self._terminal = sys.stderr.isatty()

    def read(self, line: str) -> bool:
        """Take a line of pip; return whether it reports nothing but progress."""
        word, _, rest = line.strip().partition(" ")
        if word == "Ignoring":  # a package of another platform
            self._total -= 1
        elif word in ("Collecting", "Processing"):  # from an index, or from a folder of wheels
            self._count += 1
            self._total = max(self._total, self._count)
            self._name = rest.partition(" ")[0].rpartition("/")[2].replace("==", " ")
            self._show()
        elif word in ("Downloading", "Using") and ".metadata" not in rest:
            size = line.rpartition("(")[2].rstrip(") \n")
            self._show(f" ({size})", is_due=_LARGE.search(line) is not None)
        elif line.startswith("Installing collected packages"):
            self._print(f"  installing {rest.count(',') + 1} packages")
        else:
            return False
        return True

    def close(self) -> None:
        """End the line on a terminal."""
        if self._terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def _show(self, size: str = "", is_due: bool = False) -> None:
        is_due = is_due or time.monotonic() - self._shown_at >= _INTERVAL_S
        if self._terminal or is_due:
            self._print(f"  {self._count} of {self._total} packages: {self._name}{size}")

    def _print(self, text: str) -> None:
        self._shown_at = time.monotonic()
        if self._terminal:
            print(f"\r\x1b[K{text[:78]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

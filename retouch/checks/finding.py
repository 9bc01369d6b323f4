"""What a check found, and the time limit of checks that wait for others."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from retouch.secrets import Secrets

LIMIT_S = 10.0
"""Seconds that a database or a bucket may take."""


class State(Enum):
    """How bad a finding is: with a problem a server does not start, or does not work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What one check found. details: for programs; JSON values."""

    name: str
    state: State
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def without(self, secrets: Secrets) -> "Finding":
        """Return the same without secrets, in the details too."""
        details = {name: _hidden(value, secrets) for name, value in self.details.items()}
        return replace(self, text=secrets.hide(self.text), details=details)


def _hidden(value: Any, secrets: Secrets) -> Any:
    if isinstance(value, str):
        return secrets.hide(value)
    if isinstance(value, list):
        return [_hidden(one, secrets) for one in value]
    if isinstance(value, dict):
        return {name: _hidden(one, secrets) for name, one in value.items()}
    return value


def ok(name: str, text: str, **details: Any) -> Finding:
    """Return a finding without a fault."""
    return Finding(name, State.OK, text, details)


def warning(name: str, text: str, **details: Any) -> Finding:
    """Return a finding that may be meant like this."""
    return Finding(name, State.WARNING, text, details)


def problem(name: str, text: str, **details: Any) -> Finding:
    """Return a finding with which a server does not work."""
    return Finding(name, State.PROBLEM, text, details)


def within_limit(name: str, check: Callable[[], Finding], limit_s: float = LIMIT_S) -> Finding:
    """Return what a check finds, or that it took longer than `limit_s` seconds; it is then left behind."""
    found: list[Finding] = []

    def run() -> None:
        try:
            found.append(check())
        except Exception as error:  # each library has its own; the user shall see which
            found.append(problem(name, f"{type(error).__name__}: {error}".partition("\n")[0]))

    thread = threading.Thread(target=run, name=f"check {name}", daemon=True)
    thread.start()
    thread.join(limit_s)
    return found[0] if found else problem(name, f"no answer within {limit_s:g} s")

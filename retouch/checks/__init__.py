"""The checks of `retouch doctor`. None changes anything, and each has a time limit."""

from retouch.checks.finding import Finding, State
from retouch.checks.run import all_findings

__all__ = ["Finding", "State", "all_findings"]

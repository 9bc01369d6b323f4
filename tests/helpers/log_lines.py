"""The lines of a server's log, and those that it would write for records."""

import json
import logging
from collections.abc import Iterable
from typing import Any

from models.log_lines import formatter


def written(records: Iterable[logging.LogRecord]) -> list[dict[str, Any]]:
    """Return the JSON lines that a server writes for records, in whose context they are formatted."""
    lines = list(map(formatter("json").format, records))
    assert not any("\n" in line or "\r" in line for line in lines)
    return list(map(json.loads, lines))


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the lines of a log of JSON; each must be an object."""
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(isinstance(line, dict) for line in lines)
    return lines

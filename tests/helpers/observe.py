"""The queries of the dashboard and of the alarms in deploy/observe."""

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.files import OBSERVE, read

DASHBOARD = OBSERVE / "retouch.json"
RULES = OBSERVE / "rules.yml"
_SELECTOR = re.compile(r"\b((?:retouch|process)_\w+)(\{[^}]*\})?")
_SUFFIX = re.compile(r"_(?:bucket|sum|count)$")


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Yield each query with the title of its panel, as Grafana sends it for all servers."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
            assert "$" not in query
            yield panel["title"], query


def alarms() -> dict[str, dict[str, Any]]:
    """Return the alarms by name."""
    return {rule["alert"]: rule for group in read(RULES)["groups"] for rule in group["rules"]}


def selectors(query: str) -> list[str]:
    """Return what a query selects: metrics with their labels, without functions and comparisons."""
    return [name + (labels or "") for name, labels in _SELECTOR.findall(query)]


def metrics_in(query: str) -> set[str]:
    """Return the metrics of a query by the names that docs/monitoring.md has; of histograms without a suffix."""
    return {_SUFFIX.sub("", name) for name, _ in _SELECTOR.findall(query)}

"""The metrics of a server, and those that its page describes."""

import re
from pathlib import Path

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
_ROW = re.compile(r"^\| (`(?:retouch|process)_[^|]*) \|", re.MULTILINE)


def documented() -> set[str]:
    """Return the names of the metrics in the tables of the page, those of counters with `_total`."""
    return {name for row in _ROW.findall(PAGE.read_text()) for name in re.findall(r"`(\w+)`", row)}


def scraped(client: TestClient, token: str = "me") -> dict[str, Metric]:
    """Return the families of metrics by name, those of counters with `_total`."""
    headers = {"api_token": token, "Accept": "text/plain"}
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    return {f"{one.name}_total" if one.type == "counter" else one.name: one for one in families}


def values(family: Metric) -> dict[tuple[str, ...], float]:
    """Return the values of a family by its labels' values, in the order of the labels' names."""
    return {
        tuple(one.labels[name] for name in sorted(one.labels)): one.value for one in family.samples
    }


def series(families: dict[str, Metric]) -> set[tuple[str, ...]]:
    """Return all series: the name of each sample with its labels."""
    return {
        (one.name, *(f"{name}={value}" for name, value in sorted(one.labels.items())))
        for family in families.values()
        for one in family.samples
    }

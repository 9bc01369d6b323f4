"""The dashboard and the alarms: they use metrics that exist, show all of them, and are described."""

import re
import shutil
import subprocess

import pytest

from tests.deploy.files import OBSERVE, read
from tests.helpers.metrics_page import PAGE, documented
from tests.helpers.observe import RULES, alarms, dashboard_queries, metrics_in, panels

PROMTOOL = shutil.which("promtool")
NOT_SHOWN = {"process_virtual_memory_bytes", "process_open_fds", "process_max_fds"}
NOT_SHOWN |= {"process_start_time_seconds"}
"""Metrics of every process, which the dashboard leaves out."""


def test_the_dashboard_shows_every_metric_and_no_other() -> None:
    shown = set().union(*(metrics_in(query) for _, query in dashboard_queries()))
    assert shown == documented() - NOT_SHOWN


def test_alarms_use_metrics_that_exist() -> None:
    for name, rule in alarms().items():
        assert metrics_in(rule["expr"]), name
        assert metrics_in(rule["expr"]) <= documented(), name


def test_alarms_have_a_row_of_the_page_with_their_time_and_severity() -> None:
    rows = dict(re.findall(r"^\| `(Retouch\w+)` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE))
    assert list(rows) == list(alarms())
    for name, rule in alarms().items():
        minutes = re.search(r"for (\d+) minutes? \((page|ticket)\)|for (\d+) minutes", rows[name])
        assert minutes, rows[name]
        assert f"{minutes[1]}m" == rule["for"], name
        assert rows[name].endswith(f"({rule['labels']['severity']})"), name


def test_every_alarm_has_a_test_of_promtool_that_it_fires_and_one_that_it_does_not() -> None:
    fires, is_silent = set(), set()
    for test in read(OBSERVE / "rules.test.yml")["tests"]:
        for case in test["alert_rule_test"]:
            (fires if case.get("exp_alerts") else is_silent).add(case["alertname"])
    assert fires == is_silent == alarms().keys()


def test_panels_have_titles_of_their_own_and_do_not_overlap() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)
    cells: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        cells |= taken


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; .ci/run installs it")
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", str(OBSERVE / "prometheus.yml")),
        ("check", "rules", str(RULES)),
        ("test", "rules", str(OBSERVE / "rules.test.yml")),
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_promtool_accepts_the_files(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([str(PROMTOOL), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

"""Debian's Prometheus reads a live server: each query of the dashboard and of the alarms finds its series."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml

from tests.deploy.files import OBSERVE, read
from tests.helpers.observe import RULES, alarms, dashboard_queries, selectors
from tests.helpers.server_process import Server, b64, sample
from tests.helpers.services import free_port

PROMETHEUS = shutil.which("prometheus")
pytestmark = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed; .ci/run installs it"
)
EMPTY = {
    "retouch_batch_size": "no model of profile lite takes one call at a time",
    "retouch_model_calls_waiting": "the same",
    "retouch_models_evicted": "models that do not run on a GPU are not evicted to main memory",
    "retouch_models_budget_bytes": "there is no limit for models without RETOUCH_MEMORY_MB",
}
"""By what begins the name of a metric: why this server has none of it."""
_TIMEOUT_S = 60


class Prometheus:
    """Prometheus with the files of deploy/observe, but for the address of the server and a shorter interval."""

    def __init__(self, folder: Path, target: str) -> None:
        configuration = read(OBSERVE / "prometheus.yml")
        configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        configuration["rule_files"] = [str(RULES)]
        configuration["scrape_configs"][0]["static_configs"] = [{"targets": [target]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        port = free_port()
        command = [
            str(PROMETHEUS),
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False)

    def until(self, happened: Callable[[], object], what: str) -> None:
        """Wait until something has happened, at most a minute."""
        deadline = time.monotonic() + _TIMEOUT_S
        while True:
            try:
                if happened():
                    return
            except httpx.TransportError:
                assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{what}\n{self.log.read_text()}"
            time.sleep(0.2)

    def is_ready(self) -> bool:
        """Whether it answers queries."""
        return self.http.get(self.http.base_url.join("/-/ready")).status_code == 200

    def query(self, query: str) -> list[dict[str, Any]]:
        """Return the series of a query; it must be valid."""
        answer = self.http.get("/query", params={"query": query})
        assert answer.json()["status"] == "success", f"{query}: {answer.text}"
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def close(self) -> None:
        """Stop it."""
        self.http.close()
        self._process.terminate()
        self._process.wait(_TIMEOUT_S)


@pytest.fixture(scope="module")
def prometheus(running: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus that has read a server before and after some requests."""
    target = f"127.0.0.1:{running.port()}"
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), target)
    try:
        prometheus.until(prometheus.is_ready, "it starts")
        prometheus.until(lambda: prometheus.query('up{job="retouch"} == 1'), "it reads the server")
        _send_requests(running)
        counted = 'sum(retouch_requests_total{operation="POST /v1/background/remove",code="400"})'
        prometheus.until(lambda: prometheus.query(f"{counted} >= 1"), "it reads it again")
        yield prometheus
    finally:
        prometheus.close()


def _send_requests(server: Server) -> None:
    picture = {"file": b64(sample())}
    assert server.http.post("/v1/background/remove", json=picture).status_code == 200
    later = server.http.post("/v1/crop", json={**picture, "sync": False})
    link = later.json()["result_url"]
    deadline = time.monotonic() + _TIMEOUT_S
    while server.read(link).status_code == 404:
        assert time.monotonic() < deadline, server.text()
        time.sleep(0.05)
    assert server.http.post("/v1/background/remove", json={}).status_code == 400


def _reason(query: str) -> str | None:
    """Return why a query finds nothing here."""
    return next((reason for name, reason in EMPTY.items() if name in query), None)


def test_each_query_of_the_dashboard_finds_series(prometheus: Prometheus) -> None:
    queries = list(dashboard_queries())
    assert len(queries) > 40
    for title, query in queries:
        if _reason(query) is not None:
            assert prometheus.query(query) == [], f"{title} is no longer empty: {query}"
            continue
        prometheus.until(lambda query=query: prometheus.query(query), f"{title}: {query}")


def test_each_alarm_is_evaluated_and_finds_its_series(prometheus: Prometheus) -> None:
    for name, rule in alarms().items():
        prometheus.query(rule["expr"])
        for selector in selectors(rule["expr"]):
            if 'code=~"500|' not in selector:  # a server that works has none
                prometheus.until(
                    lambda query=selector: prometheus.query(query),
                    f"{name}: {selector}",
                )

    def rules() -> list[dict[str, Any]]:
        groups = prometheus.http.get("/rules").json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    prometheus.until(lambda: all(rule["health"] == "ok" for rule in rules()), "the alarms")
    assert {rule["name"]: rule["state"] for rule in rules()} == dict.fromkeys(alarms(), "inactive")


def test_prometheus_drops_nothing_of_what_it_reads(prometheus: Prometheus) -> None:
    """It speaks OpenMetrics with the server, and takes each line."""
    (target,) = prometheus.http.get("/targets").json()["data"]["activeTargets"]
    assert (target["health"], target["lastError"]) == ("up", "")
    (scraped,) = prometheus.query('scrape_samples_scraped{job="retouch"}')
    assert float(scraped["value"][1]) > 100

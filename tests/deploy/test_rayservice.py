"""Deploys the application of rayservice.yaml as KubeRay does: through the dashboard, with a token."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import yaml
from ray.cluster_utils import Cluster

from tests.deploy.files import read
from tests.helpers.places import RAY_TOKEN, ROOT

_TIMEOUT_S = 120


@pytest.fixture
def dashboard(weights_dir: Path, lite: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the dashboard of a Ray head with enough processors for `lite`."""
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(weights_dir.absolute().parent))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "num_cpus": 8,
        "include_dashboard": True,
        "dashboard_port": port,
        "object_store_memory": 100 * 2**20,
    }
    cluster = Cluster(initialize_head=True, head_node_args=options)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]


def test_the_application_runs_without_a_proxy_and_requires_the_token(
    dashboard: str, tmp_path: Path
) -> None:
    config = yaml.safe_load(read(ROOT / "deploy" / "rayservice.yaml")["spec"]["serveConfigV2"])
    config["applications"][0]["args"]["profile"] = "lite"
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(config))
    serve = Path(sys.executable).with_name("serve")
    subprocess.run(
        [serve, "deploy", tmp_path / "serve.yaml", "-a", dashboard], check=True, timeout=60
    )
    deadline = time.monotonic() + _TIMEOUT_S
    while (state := _state(dashboard))["applications"]["retouch"]["status"] != "RUNNING":
        assert time.monotonic() < deadline, state
        assert state["applications"]["retouch"]["status"] == "DEPLOYING", state
        time.sleep(0.5)
    assert not state["proxies"]
    assert httpx.get(f"{dashboard}/api/serve/applications/").status_code == 401


def _state(dashboard: str) -> Any:
    header = {"Authorization": f"Bearer {RAY_TOKEN}"}
    answer = httpx.get(f"{dashboard}/api/serve/applications/", headers=header, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()

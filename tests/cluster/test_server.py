"""The whole server with its models on a cluster: same results over HTTP, and the same shutdown."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

import pytest

from models.runtime.pool import Pool
from tests.helpers.ray_cluster import Cluster
from tests.helpers.server_process import Server, b64, mask_for, sample


@pytest.fixture
def server(tmp_path: Path, weights_dir: Path, lite: Pool, cluster: Cluster) -> Iterator[Server]:
    """A server, not started yet, with its models on the cluster."""
    server = Server(tmp_path / "there", weights_dir)
    server.environment = {
        "RETOUCH_PRELOAD": "true",
        "no_proxy": "127.0.0.1,localhost," + cluster.address.partition(":")[0],
        "RETOUCH_ENGINE": "ray",
        "RETOUCH_RAY_ADDRESS": cluster.address,
        "RETOUCH_PROFILE": cluster.profile,
    }
    yield server
    server.close()


@pytest.fixture
def embedded(tmp_path: Path, weights_dir: Path, lite: Pool) -> Iterator[Server]:
    """A server with its models in its own process."""
    server = Server(tmp_path / "here", weights_dir)
    yield server.start()
    server.close()


def test_results_are_identical_with_local_models_and_on_a_cluster(
    server: Server, embedded: Server
) -> None:
    server.start()
    data = sample("coffee", 500)
    answers = (
        ("background/remove", {}),
        ("background/blur", {"scale": 3}),
        ("eraser", {"mask_file": b64(mask_for(data))}),
        ("erase_foreground", {}),
        ("image_expansion", {"canvas_size": [600, 500], "seed": 4}),
        ("objects/mask_generator", {}),
    )
    for path, fields in answers:
        made = []
        for one in (server, embedded):
            answer = one.http.post(f"/v1/{path}", json={"file": b64(data), **fields})
            assert answer.status_code == 200, answer.text
            (link,) = [v for k, v in answer.json().items() if str(v).startswith("http")]
            made.append(one.read(str(link)).content)
        assert made[0] == made[1], path


def test_calls_on_the_cluster_finish_before_the_server_ends(server: Server) -> None:
    server.start(WORKERS="4")
    body = {"file": b64(sample("astronaut", 700))}

    def ask(_: int) -> int:
        return server.http.post("/v1/background/remove", json=body).status_code

    with ThreadPoolExecutor(8) as callers:
        first = list(callers.map(ask, range(8)))
        later = [callers.submit(ask, n) for n in range(8)]
        while not any(one.running() for one in later):
            pass
        status = server.end(SIGTERM)
        assert first == [200] * 8
        for one in later:
            if one.exception(60) is None:
                assert one.result() in (200, 503)
    assert status == 0, server.text()
    assert "Traceback" not in server.text()


def test_without_a_cluster_the_server_is_not_ready_and_gives_the_reason(server: Server) -> None:
    server.environment["RETOUCH_RAY_ADDRESS"] = "127.0.0.1:1"
    server.launch(API_TOKENS="a:secret-a")
    server.wait_for_port()
    body = {"file": b64(sample())}
    answer = server.http.post("/v1/background/remove", json=body)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert server.http.get("/readyz").status_code == 503
    assert server.http.get("/healthz").status_code == 200

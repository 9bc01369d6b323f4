"""Fixtures: a Ray cluster of several nodes on this machine with the models of `lite`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from models.catalog.profile import load_profile
from models.runtime.ray.cluster import ClusterEngine
from tests.helpers.ray_cluster import Cluster


@pytest.fixture(scope="session")
def cluster(
    tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: object
) -> Iterator[Cluster]:
    """A cluster of three nodes with the models of `lite`, small enough for two processors."""
    profile = tmp_path_factory.mktemp("cluster") / "small.toml"
    roles = load_profile("lite")
    rows = [f"[replicas.{role}]\ncpus = 0.3\nmax = 2\n" for role in roles]
    rows[0] += "min = 2\n"
    profile.write_text('base = "lite"\n' + "".join(rows))
    cluster = Cluster(profile, weights_dir)
    try:
        done = cluster.deploy()
        assert done.returncode == 0, done.stderr
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="session")
def engine(cluster: Cluster) -> Iterator[ClusterEngine]:
    """An engine in this process that uses the cluster."""
    engine = cluster.engine()
    engine.warm_up()
    yield engine
    engine.close()

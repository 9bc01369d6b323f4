"""The engine on a cluster, where Ray is installed."""

from models.engine import ray_environment
from models.engine.base import Engine
from models.profile import load_profile


class NoCluster(ImportError):  # noqa: N818 - reads as what it is
    """Ray is not installed."""


def open_cluster(profile: str, address: str, queue: int) -> Engine:
    """Give the engine on the Ray cluster at `address`; raises NoCluster without the extra `cluster`.

    Weights are the replicas' business: none are looked for here. Raises UnknownProfile.
    """
    ray_environment.prepare()
    try:
        # Not imported above: most servers have no cluster, and Ray is 200 MB.
        from models.engine.cluster import ClusterEngine
    except ImportError as error:
        raise NoCluster(
            f"{error}; install the extra `cluster`: pip install '.[cluster]'"
        ) from error
    return ClusterEngine(address, load_profile(profile), queue)

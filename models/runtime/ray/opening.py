"""The engine on a cluster, where Ray is installed."""

from typing import TYPE_CHECKING

from models.catalog.profile import load_profile
from models.errors import RayNotInstalledError
from models.runtime.ray import environment

if TYPE_CHECKING:
    from models.runtime.ray.cluster import ClusterEngine


def open_cluster(profile: str, address: str, queue: int) -> "ClusterEngine":
    """Return the engine on the Ray cluster at `address`; raises RayNotInstalledError without the extra `cluster`.

    Weights are the replicas' business: none are looked for here. Raises UnknownProfileError.
    """
    environment.prepare()
    try:
        # Not imported above: most servers have no cluster, and Ray is 200 MB.
        from models.runtime.ray.cluster import ClusterEngine
    except ImportError as error:
        raise RayNotInstalledError(
            f"{error}; install the extra `cluster`: pip install '.[cluster]'"
        ) from error
    return ClusterEngine(address, load_profile(profile), queue)

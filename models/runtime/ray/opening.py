"""Opening the engine on a Ray cluster.

Ray is imported only here, because it may not be installed.
"""

from typing import TYPE_CHECKING

from models.catalog.profile import load_profile
from models.errors import RayNotInstalledError
from models.runtime.ray import environment
from models.start_progress import StartProgress

if TYPE_CHECKING:
    from models.runtime.ray.cluster import ClusterEngine


def open_cluster(
    profile: str, address: str, queue: int, progress: StartProgress | None = None
) -> "ClusterEngine":
    """Return the engine on the Ray cluster at `address`.

    Weights are not needed here, only on the replicas. profile: the name of the deployed profile.
    queue: the deployed queue length. progress: is told which models are up. Raises
    UnknownProfileError, and RayNotInstalledError if the extra `cluster` is not installed.
    """
    environment.prepare()
    try:
        # Not imported at the top of the module: most servers have no cluster, and Ray is 200 MB.
        from models.runtime.ray.cluster import ClusterEngine
    except ImportError as error:
        raise RayNotInstalledError(
            f"{error}; install the extra `cluster`: pip install '.[cluster]'"
        ) from error
    return ClusterEngine(address, load_profile(profile), queue, progress)

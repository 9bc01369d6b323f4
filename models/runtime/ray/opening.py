"""Opening the engines on Ray: on a cluster, or on this machine alone.

Ray is imported only here, because it may not be installed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.catalog.profile import load_profile
from models.errors import RayNotInstalledError
from models.runtime.device_policy import device_for
from models.runtime.ray import environment
from models.settings import DeploymentSettings
from models.start_progress import StartProgress
from models.weights.at_start import fetch_for_start
from models.weights.cache import WeightsCache

if TYPE_CHECKING:
    from models.runtime.ray.cluster import ClusterEngine
    from models.runtime.ray.machine import MachineEngine


def open_cluster(
    profile: str, address: str, queue: int, progress: StartProgress | None = None
) -> "ClusterEngine":
    """Return the engine on the Ray cluster at `address`.

    Weights are not needed here, only on the replicas. profile: the name of the deployed profile.
    queue: the deployed queue length. progress: is told which models are up. Raises
    UnknownProfileError, and RayNotInstalledError if the extra `cluster` is not installed.
    """
    environment.prepare()
    with _explained():
        # Not imported at the top of the module: most servers have no cluster, and Ray is 200 MB.
        from models.runtime.ray.cluster import ClusterEngine
    return ClusterEngine(address, load_profile(profile), queue, progress)


def open_machine(
    settings: DeploymentSettings, progress: StartProgress | None = None
) -> "MachineEngine":
    """Return the engine on all GPUs of this machine. Fetch the missing weights; start nothing yet.

    progress: is told what is fetched, and which models are up. Raises UnknownProfileError, UnknownDeviceError,
    WeightsUnavailableError, and RayNotInstalledError if the extra `cluster` is not installed.
    """
    environment.prepare_own()
    with _explained():
        from models.runtime.ray.machine import MachineEngine
    progress = progress or StartProgress()
    profile = load_profile(settings.profile)
    # As a server without Ray does, before it fetches gigabytes. A GPU that is named would get a context here.
    if settings.device in ("auto", "cpu") and any(card.torch for card in profile.values()):
        device_for(settings.device, any(card.needs_gpu for card in profile.values()))
    cache = WeightsCache(settings.weights_dir, settings.models_dir)
    # Here, so that not every process of models does it. What has failed fails there again, with its reason.
    fetch_for_start(settings.profile, profile, cache, progress)
    return MachineEngine(settings, progress)


@contextmanager
def _explained() -> Iterator[None]:
    """Say what to install where Ray is missing."""
    try:
        yield
    except ImportError as error:
        raise RayNotInstalledError(
            f"{error}; install the extra `cluster`: pip install '.[cluster]'"
        ) from error

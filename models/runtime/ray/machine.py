"""The engine on all GPUs of this machine: a Ray of this process alone, with a process of models for each GPU."""

import logging
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future

import ray
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from models.catalog.profile import load_profile
from models.errors import EngineLostError, EngineUnavailableError
from models.memory import free_memory
from models.processors import usable_processors
from models.runtime.model_states import ModelStates
from models.runtime.ray.cluster import ClusterEngine
from models.runtime.ray.deployments import APPLICATION, Machine, build
from models.runtime.ray.plan import on_machine
from models.settings import DeploymentSettings
from models.start_progress import StartProgress

log = logging.getLogger("retouch.engine")

_OBJECT_STORE_BYTES = 1_000_000_000
"""Shared memory for pictures on their way; what does not fit waits on disk."""
_SHARE_FOR_EVICTED = 0.5
"""Share of the main memory that is free at the start which the models evicted from all GPUs may take."""


class MachineEngine(ClusterEngine):
    """Implements `models.roles.Models` with the GPUs of this machine, without a cluster (decision 38).

    It starts a Ray, which ends with this process, and deploys the profile there. settings: what to deploy; the
    weights must be on disk. progress: is told how many models are up.
    """

    def __init__(self, settings: DeploymentSettings, progress: StartProgress | None = None) -> None:
        super().__init__("local", load_profile(settings.profile), settings.max_waiting, progress)
        self._settings = settings
        self._gpus = 0

    def model_states(self) -> ModelStates:
        """Return the models of the profile, and how many GPUs they run on."""
        return ModelStates(super().model_states().models, device=self._device())

    def _device(self) -> str | None:
        """Return which GPUs the models run on, for people; None if they use none."""
        if not self._gpus:
            return None
        return f"{self._gpus} GPU{'s' * (self._gpus > 1)} of this machine, with a process for each"

    def _connect(self) -> None:
        """Start Ray and deploy the models, unless an earlier attempt did.

        Raises EngineUnavailableError; EngineLostError if Ray does not start.
        """
        settings = self._settings
        if not ray.is_initialized():
            _on_lasting_thread(self._start)
        try:
            layout = on_machine(settings.profile, self._profile, self._usable_gpus())
            self._gpus = sum(one.min for one in layout.values() if one.gpus)
            self._groups = list(layout)
            serve.start(proxy_location="Disabled")
            if APPLICATION in serve.status().applications:
                return
            log.info("models run on %s", self._device() or "the processors of this machine")
            application = build(
                settings, machine=Machine(layout, _evicted_mb(settings, max(1, self._gpus)))
            )
            serve.run_many(
                [serve.RunTarget(application, name=APPLICATION, route_prefix=None)],
                wait_for_applications_running=False,  # so that the wait ends when the engine is closed
            )
        except (RayError, RayServeException, RuntimeError, TimeoutError) as error:
            raise EngineUnavailableError(f"the models could not be deployed: {error}") from error

    def _usable_gpus(self) -> int:
        if self._settings.device == "cpu":
            return 0
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return int(resources.get("GPU", 0))

    def _start(self) -> None:
        """Start a Ray on this machine, with all GPUs that this process may see."""
        # However few processors there are, each replica that the profile needs has a place.
        layout = on_machine(self._settings.profile, self._profile, 0)
        least = math.ceil(sum(one.min * one.cpus for one in layout.values()))
        try:
            ray.init(
                "local",
                num_cpus=max(usable_processors(), least),
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                log_to_driver=False,
                configure_logging=False,
            )
        except Exception as error:
            # Ray raises plain ones too, such as for a node that starts too slowly. Not tried again here: what
            # is left of this attempt ends the process when it likes to.
            raise EngineLostError(f"Ray does not start on this machine: {error}") from error


def _on_lasting_thread(work: Callable[[], None]) -> None:
    """Run work on a thread that stays until the process ends; raises its errors.

    Linux ends the processes that Ray starts when the thread ends that has started them.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)
            threading.Event().wait()

    threading.Thread(target=run, name="ray", daemon=True).start()
    done.result()


def _evicted_mb(settings: DeploymentSettings, processes: int) -> int:
    """Return what the models of each process may take of main memory when they are evicted, in MiB."""
    together = settings.main_memory_mb
    if together is None:
        together = int(_SHARE_FOR_EVICTED * (free_memory() or 0)) >> 20
    return together // processes

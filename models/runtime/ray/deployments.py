"""The Ray Serve application: one deployment for each role of a profile, and one for roles that share weights.

The `serve` command and KubeRay import `application`. `retouch deploy-models` deploys it from
the command line.
"""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.handle import DeploymentHandle

from imaging.resize import SizeRule
from models.catalog.profile import load_profile
from models.log_context import LogContext, log_scope
from models.log_lines import configure_logs
from models.roles import Role, role_named
from models.runtime.calls import Call
from models.runtime.ray.plan import Layout, Replicas, calls_at_once, group_name, on_cluster
from models.runtime.ray.replica import GroupModels, ModelSource, deadline_of
from models.settings import DeploymentSettings, read_settings, warn_of_unknown_names

log = logging.getLogger("retouch.models")

APPLICATION = "retouch"
_OF_ONE_MACHINE = {"memory_mb", "main_memory_mb"}
_ARGUMENTS = {field.name for field in fields(ModelSource)} - _OF_ONE_MACHINE | {
    "gpu_memory_mb",
    "queue",
}
_SHUTDOWN_TIMEOUT_S = 120.0
"""Longest time, in seconds, for a replica to finish its calls at shutdown."""


@dataclass(frozen=True)
class Machine:
    """The machine of a server that uses all of its GPUs by itself.

    layout: the groups there. evicted_mb: what the models of one process may take of main memory when they are
    evicted from its GPU, in MiB.
    """

    layout: Layout
    evicted_mb: int


class RoleReplica:
    """The Ray Serve deployment of a role, or of several that share weights. Each replica is one instance."""

    def __init__(self, source: ModelSource, roles: Sequence[str], threads: int) -> None:
        configure_logs(source.log_format, source.log_level)
        # Ray has set the variable to the GPUs of this replica, by their numbers on the machine.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "none"
        log.info("replica of %s: process %d, GPU %s", ", ".join(roles), os.getpid(), visible)
        self._first = roles[0]
        self._models = GroupModels(source, [role_named(role) for role in roles], threads)

    async def run(
        self,
        args: list[Any],
        kwargs: dict[str, Any],
        seconds: float | None,
        sent: float,
        logged: LogContext = MappingProxyType({}),
        role: str = "",
    ) -> Any:
        """Make a call.

        Large arguments are references to Ray's shared memory (`models.runtime.ray.cluster`).
        seconds: the time that was left when the call was sent; None means no limit. sent: when it
        was sent, in seconds since 1970. logged: what its lines have, such as the id of its request. role: the name
        of the called one. Servers of release 0.2 send neither, and call deployments of one role.
        """
        start = time.monotonic()
        with log_scope(logged):
            try:
                return await self._run(role or self._first, args, kwargs, seconds, sent)
            finally:
                log.info("%s took %.3f s", role or self._first, time.monotonic() - start)

    async def _run(
        self,
        role: str,
        args: list[Any],
        kwargs: dict[str, Any],
        seconds: float | None,
        sent: float,
    ) -> Any:
        resolved_args = [await _resolve(arg) for arg in args]
        resolved_kwargs = {name: await _resolve(arg) for name, arg in kwargs.items()}
        deadline = deadline_of(seconds, sent)
        call = Call(role_named(role), tuple(resolved_args), resolved_kwargs, deadline)
        future = self._models.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.deadline.cancel()  # the model's thread checks the deadline between two steps
            raise

    def sizes(self, role: str = "") -> SizeRule | None:
        """Return the sizes that a role's model works at; None if it works at any size."""
        return self._models.sizes(role_named(role or self._first))


class Directory:
    """The application's ingress deployment: it binds the roles' deployments, and says which models they run."""

    def __init__(self, models: Mapping[str, str], **_: DeploymentHandle[Any]) -> None:
        self._models = dict(models)

    def models(self) -> dict[str, str]:
        """Return the name of the card of each role, by the role's name."""
        return self._models


async def _resolve(value: Any) -> Any:
    return await value if isinstance(value, ray.ObjectRef) else value


def application(args: Mapping[str, Any]) -> serve.Application:
    """Build the application of a profile.

    args: `gpu_memory_mb`, `queue` and the fields of `models.runtime.ray.replica.ModelSource`, but its limits
    of memory. The
    default of each comes from the environment (`models.settings.DeploymentSettings`). `queue` is
    its `max_waiting`; `weights_dir` is the folder `weights` in its `data_dir`. Raises
    UnknownProfileError, InvalidSettingsError, and ValueError for an unknown argument.
    """
    if unknown := args.keys() - _ARGUMENTS:
        raise ValueError(f"no such argument: {', '.join(sorted(unknown))}")
    overrides = {name: value for name, value in args.items() if value != ""}
    weights_dir = overrides.pop("weights_dir", None)
    if "queue" in overrides:
        overrides["max_waiting"] = overrides.pop("queue")
    settings = read_settings(DeploymentSettings, **overrides)
    warn_of_unknown_names()
    return build(settings, weights_dir)


def build(
    settings: DeploymentSettings, weights_dir: str | None = None, machine: Machine | None = None
) -> serve.Application:
    """Return the application that the settings describe; raises UnknownProfileError.

    weights_dir: the folder of weights on the replicas; by default `settings.weights_dir`. machine: where it
    runs, if that is one machine without a cluster.
    """
    source = ModelSource(
        settings.profile,
        weights_dir or str(settings.weights_dir.absolute()),
        str(settings.models_dir) if settings.models_dir else None,
        settings.device,
        settings.dtype,
        settings.offload,
        settings.log_format,
        settings.log_level,
        settings.memory_mb if machine else None,
        machine.evicted_mb if machine else 0,
    )
    profile = load_profile(source.profile)
    gpu_mb = None if source.device == "cpu" else settings.gpu_memory_mb
    layout = machine.layout if machine else on_cluster(source.profile, profile, gpu_mb)
    deployments = {
        group_name(roles): _deployment(
            roles,
            calls_at_once(profile[role] for role in roles),
            source,
            replicas,
            settings.max_waiting,
        )
        for roles, replicas in layout.items()
    }
    models = {role.name: card.name for role, card in profile.items()}
    directory = _as_deployment(Directory, ray_actor_options={"num_cpus": 0})
    return directory.bind(models, **deployments)


def _deployment(
    roles: Sequence[Role[Any]], ongoing: int, source: ModelSource, replicas: Replicas, queue: int
) -> serve.Application:
    """Return the deployment of a group.

    ongoing: calls that a replica gets at once. queue: calls of a role that may wait.
    """
    resources: dict[str, Any] = {"num_cpus": replicas.cpus, "num_gpus": replicas.gpus}
    if replicas.accelerator:
        resources["accelerator_type"] = replicas.accelerator
    deployment = _as_deployment(
        RoleReplica,
        name=group_name(roles),
        ray_actor_options=resources,
        autoscaling_config=AutoscalingConfig(
            min_replicas=replicas.min,
            max_replicas=replicas.max,
            target_ongoing_requests=ongoing / 2,
        ),
        max_ongoing_requests=ongoing,
        max_queued_requests=queue,
        graceful_shutdown_timeout_s=_SHUTDOWN_TIMEOUT_S,
    )
    names = [role.name for role in roles]
    return deployment.bind(source, names, max(1, int(replicas.cpus)))


def _as_deployment(kind: type, **options: Any) -> serve.Deployment:
    deployment: serve.Deployment = serve.deployment(**options)(kind)
    return deployment

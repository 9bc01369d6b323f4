"""The Ray Serve application: one deployment for each role of a profile.

`application` is what `serve` and KubeRay import; `models.runtime.ray.deploy` runs it from the command line.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig
from ray.serve.handle import DeploymentHandle

from imaging.resize import SizeRule
from models.catalog.card import Card
from models.catalog.profile import load_profile
from models.roles import Role, role_named
from models.runtime.calls import Call
from models.runtime.ray.plan import Replicas, plan
from models.runtime.ray.replica import ModelSource, RoleModel, deadline_of
from models.settings import DeploymentSettings, read_settings, warn_of_unknown_names

APPLICATION = "retouch"
_ARGUMENTS = {field.name for field in fields(ModelSource)} | {"gpu_memory_mb", "queue"}
_END_S = 120.0
"""Longest time that a replica which is no longer wanted takes to end its calls."""


class RoleReplica:
    """What Ray Serve runs as one replica of a role."""

    def __init__(self, source: ModelSource, role: str, threads: int) -> None:
        self._role = role_named(role)
        self._model = RoleModel(source, self._role, threads)

    async def run(
        self, args: list[Any], kwargs: dict[str, Any], seconds: float | None, sent: float
    ) -> Any:
        """Make a call; large arguments come as references (`models.runtime.ray.cluster`)."""
        given = [await _here(arg) for arg in args]
        named = {name: await _here(arg) for name, arg in kwargs.items()}
        call = Call(self._role, tuple(given), named, deadline_of(seconds, sent))
        future = self._model.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            call.deadline.cancel()  # the model's thread looks between two steps
            raise

    def sizes(self) -> SizeRule | None:
        """Return the sizes that the model works at; None where it works at any."""
        return self._model.sizes()


class Directory:
    """The application's front: it holds the roles together and says what they run."""

    def __init__(self, models: Mapping[str, str], **_: DeploymentHandle[Any]) -> None:
        self._models = dict(models)

    def models(self) -> dict[str, str]:
        """Return the card's name of each role's name."""
        return self._models


async def _here(value: Any) -> Any:
    return await value if isinstance(value, ray.ObjectRef) else value


def application(args: Mapping[str, Any]) -> serve.Application:
    """Build the application of a profile.

    args: the fields of models.runtime.ray.replica.ModelSource and `gpu_memory_mb` and `queue`; each that is
    left out is as the environment says (models.settings.DeploymentSettings; `queue` is its `max_waiting`, and
    `weights_dir` is `weights` in its `data_dir`). Raises UnknownProfileError, InvalidSettingsError, and
    ValueError for an argument that there is not.
    """
    if unknown := args.keys() - _ARGUMENTS:
        raise ValueError(f"no such argument: {', '.join(sorted(unknown))}")
    given = {name: value for name, value in args.items() if value != ""}
    weights_dir = given.pop("weights_dir", None)
    if "queue" in given:
        given["max_waiting"] = given.pop("queue")
    settings = read_settings(DeploymentSettings, **given)
    warn_of_unknown_names()
    return build(settings, weights_dir)


def build(settings: DeploymentSettings, weights_dir: str | None = None) -> serve.Application:
    """Build the application that the settings describe; raises UnknownProfileError.

    weights_dir: where the replicas find weights, if not in `settings.weights_dir`.
    """
    source = ModelSource(
        settings.profile,
        weights_dir or str(settings.weights_dir.absolute()),
        str(settings.models_dir) if settings.models_dir else None,
        settings.device,
        settings.dtype,
        settings.offload,
    )
    profile = load_profile(source.profile)
    gpu_mb = None if source.device == "cpu" else settings.gpu_memory_mb
    replicas = plan(source.profile, profile, gpu_mb)
    deployments = {
        role.name: _deployment(role, card, source, replicas[role], settings.max_waiting)
        for role, card in profile.items()
    }
    models = {role.name: card.name for role, card in profile.items()}
    front = _as_deployment(Directory, ray_actor_options={"num_cpus": 0})
    return front.bind(models, **deployments)


def _deployment(
    role: Role[Any], card: Card, source: ModelSource, replicas: Replicas, queue: int
) -> serve.Application:
    resources: dict[str, Any] = {"num_cpus": replicas.cpus, "num_gpus": replicas.gpus}
    if replicas.accelerator:
        resources["accelerator_type"] = replicas.accelerator
    # One batch at work and the next one there already, so that no replica waits for the network.
    ongoing = 2 * card.max_batch
    deployment = _as_deployment(
        RoleReplica,
        name=role.name,
        ray_actor_options=resources,
        autoscaling_config=AutoscalingConfig(
            min_replicas=replicas.min,
            max_replicas=replicas.max,
            target_ongoing_requests=card.max_batch,
        ),
        max_ongoing_requests=ongoing,
        max_queued_requests=queue,
        graceful_shutdown_timeout_s=_END_S,
    )
    return deployment.bind(source, role.name, max(1, int(replicas.cpus)))


def _as_deployment(kind: type, **options: Any) -> serve.Deployment:
    made: serve.Deployment = serve.deployment(**options)(kind)
    return made

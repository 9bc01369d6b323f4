"""The engine on a Ray cluster: calls go to replicas of Ray Serve, wherever they run."""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import ray
from ray import serve
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    LocalRayletDiedError,
    RayError,
    RayTaskError,
    TaskCancelledError,
)
from ray.serve.exceptions import BackPressureError, RayServeException, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from imaging.resize import SizeRule
from models.catalog.card import Profile
from models.deadline import Deadline
from models.errors import (
    DeadlineExceededError,
    EngineBusyError,
    EngineUnavailableError,
    ModelUnavailableError,
)
from models.roles import P, Role
from models.runtime.calls import Call, ModelProxy
from models.runtime.ray.deployments import APPLICATION

log = logging.getLogger("retouch.engine")

_LOOK_S = 0.1
"""How often a waiting call looks whether its caller has left."""
_BY_REFERENCE = 1 << 20
"""Bytes from which on an array goes through the shared memory of Ray's nodes instead of a message."""
_MOST_CRASHES = 3
"""Replicas that may die of one call."""
_PATIENCE_S = 60.0
"""How long a call is tried anew while no replica is available."""
_START_LOOK_S = 0.5
_MEMORY = 0.1
"""Share of the newest call in the mean time of one."""


class ClusterEngine:
    """Fulfils models.roles.Models on the application that `models.runtime.ray.deploy` has deployed.

    Any number of processes may share it; each attaches as a driver. address: of the cluster, as
    ray.init takes it. profile: must be the one that is deployed. queue: as it was deployed.
    """

    def __init__(self, address: str, profile: Profile, queue: int) -> None:
        self._address = address
        self._profile = profile
        self._queue = queue
        self._handles: dict[Role[Any], DeploymentHandle[Any]] = {}
        self._sizes: dict[Role[Any], SizeRule] = {}
        self._mean_s = dict.fromkeys(profile, 0.0)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def warm_up(self) -> None:
        """Attach to the cluster and wait until every role can be called.

        Raises EngineUnavailableError where there is no cluster, ModelUnavailableError where another profile is
        deployed.
        """
        _attach(self._address)
        try:
            self._await_application()
            self._handles = self._known_handles()
        except (DeadlineExceededError, TimeoutError, RayError, RayServeException) as error:
            raise EngineUnavailableError(
                f"the models on the cluster do not answer: {error}"
            ) from error

    def _await_application(self) -> None:
        while not self._closed.wait(_START_LOOK_S):
            found = serve.status().applications.get(APPLICATION)
            if found is not None and found.status == "DEPLOY_FAILED":
                raise ModelUnavailableError(f"the models could not be deployed: {found.message}")
            if found is not None and found.status == "RUNNING":
                break
        else:
            raise EngineUnavailableError("the engine was closed before the models were there")
        deployed = serve.get_app_handle(APPLICATION).models.remote().result(timeout_s=_PATIENCE_S)
        wanted = {role.name: card.name for role, card in self._profile.items()}
        if deployed != wanted:
            raise ModelUnavailableError(f"the cluster runs other models: {deployed}, not {wanted}")

    def _known_handles(self) -> dict[Role[Any], DeploymentHandle[Any]]:
        handles = {
            role: serve.get_deployment_handle(role.name, APPLICATION) for role in self._profile
        }
        for role, handle in handles.items():
            # A handle learns with its first call how many may wait: until then it bounds nothing.
            sizes = _answer(handle.sizes.remote(), Deadline(_PATIENCE_S))
            if sizes is not None:
                self._sizes[role] = sizes
        return handles

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return role in self._profile

    def sizes(self, role: Role[Any]) -> SizeRule:
        """Return the sizes that a role's model works at."""
        self._handle(role)
        if role not in self._sizes:
            raise ModelUnavailableError(f"the model of {role} works at any size")
        return self._sizes[role]

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield a proxy whose calls go to the cluster; nothing is held between two calls."""
        yield cast(P, ModelProxy(role, self.call, self.sizes))

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make a call on some replica and wait for it; where one dies, on another."""
        call = Call(role, args, kwargs)
        handle = self._handle(role)
        call.deadline.check()
        with self._timed(role):
            return self._persistently(handle, call)

    def close(self, timeout_s: float = 0) -> bool:
        """Leave the cluster; the models stay there, and nothing is left at work here."""
        self._closed.set()
        for handle in self._handles.values():
            handle.shutdown()  # type: ignore[no-untyped-call]
        if ray.is_initialized():
            ray.shutdown()
        return True

    def _handle(self, role: Role[Any]) -> DeploymentHandle[Any]:
        if role not in self._profile:
            raise ModelUnavailableError(f"this profile has no model for {role}")
        if role not in self._handles:
            raise EngineUnavailableError("the engine has not started yet")
        return self._handles[role]

    def _persistently(self, handle: DeploymentHandle[Any], call: Call) -> Any:
        give_up = time.monotonic() + _PATIENCE_S
        wait, crashes = 0.1, 0
        args = [_sent(arg) for arg in call.args]
        kwargs = {name: _sent(arg) for name, arg in call.kwargs.items()}
        while True:
            try:
                response = handle.run.remote(args, kwargs, call.deadline.remaining(), time.time())
                return _answer(response, call.deadline)
            except BackPressureError:
                raise self._busy(call.role) from None
            except RayTaskError as error:
                # The traceback on the replica is the cause's; ours would only show the waiting.
                raise error.cause from None
            except LocalRayletDiedError as error:
                # This process will never reach the cluster again: another one has to.
                log.critical("the node that this process belongs to is gone: ending")
                os.kill(os.getpid(), signal.SIGTERM)
                raise EngineUnavailableError("the server has lost its cluster and ends") from error
            except (RayError, RayServeException) as error:
                crashes += isinstance(error, ActorDiedError)
                log.warning("%s is called anew: %s", call.role, type(error).__name__)
                if crashes >= _MOST_CRASHES:
                    text = f"each of {crashes} replicas of {call.role} died of one call"
                    raise RuntimeError(text) from error
                if time.monotonic() + wait > give_up:
                    raise EngineUnavailableError(f"no replica of {call.role} answers") from error
            time.sleep(wait)
            wait = min(2 * wait, 2.0)
            call.deadline.check()

    def _busy(self, role: Role[Any]) -> EngineBusyError:
        # What waited has taken that long of late, its waiting included.
        wait = max(1, math.ceil(self._mean_s[role]))
        return EngineBusyError(f"{self._queue} calls wait for {role}, the limit", wait)

    @contextmanager
    def _timed(self, role: Role[Any]) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - start
            with self._lock:
                share = _MEMORY if self._mean_s[role] else 1.0
                self._mean_s[role] += share * (took - self._mean_s[role])


def _attach(address: str) -> None:
    """Become a driver of a cluster."""
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, ignore_reinit_error=True)
    except (ConnectionError, RayError, RuntimeError) as error:
        raise EngineUnavailableError(
            f"the Ray cluster at {address} is not to be had: {error}"
        ) from error


def _answer(response: Any, deadline: Deadline) -> Any:
    """Wait for a response for as long as its caller does; raises WorkCancelledError, and what Ray raises."""
    while True:
        try:
            return _writable(response.result(timeout_s=_LOOK_S))
        except (TaskCancelledError, RequestCancelledError):
            deadline.check()
            raise
        except (TimeoutError, GetTimeoutError) as error:
            if isinstance(error, RayTaskError):  # the model's own
                raise
        try:
            deadline.check()
        except BaseException:
            response.cancel()
            raise


def _sent(value: Any) -> Any:
    """Put a large array where replicas read it without a copy through a message."""
    if isinstance(value, np.ndarray) and value.nbytes >= _BY_REFERENCE:
        return ray.put(value)
    return value


def _writable(value: Any) -> Any:
    """Return arrays of the caller's own: what Ray shares between processes cannot be written to."""
    if isinstance(value, np.ndarray):
        return value if value.flags.writeable else value.copy()
    if isinstance(value, list | tuple):
        return type(value)(_writable(one) for one in value)
    return value

"""The engine on a Ray cluster: model calls go to Ray Serve replicas on any node."""

import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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
    RoleNotInProfileError,
)
from models.log_context import log_context
from models.roles import P, Role
from models.runtime.answer_cache import AnswerCache
from models.runtime.calls import Call, ModelProxy
from models.runtime.model_states import ModelState, ModelStates
from models.runtime.ray.deployments import APPLICATION
from models.runtime.ray.plan import group_name, groups
from models.start_progress import StartProgress

log = logging.getLogger("retouch.engine")

_POLL_S = 0.1
"""Seconds between two checks of the deadline while a call waits."""
_BY_REFERENCE = 1 << 20
"""An array of at least this many bytes is passed in Ray's shared memory instead of a message."""
_MAX_CRASHES = 3
"""A call fails after this many replicas died while they ran it."""
_RETRY_TIMEOUT_S = 60.0
"""Seconds for which a call is retried while no replica is available."""
_START_POLL_S = 0.5
"""Seconds between two checks of the application's state at start."""
_NEWEST_SHARE = 0.1
"""Weight of the newest call in the moving average of call times."""


class ClusterEngine:
    """Implements `models.roles.Models` with the application that `retouch deploy-models` has deployed.

    Any number of processes may use one application; each attaches to the cluster as a driver.

    address: of the cluster, as for ray.init. profile: the deployed profile. queue: the deployed
    queue length. progress: is told how many models are up.
    """

    def __init__(
        self, address: str, profile: Profile, queue: int, progress: StartProgress | None = None
    ) -> None:
        self._address = address
        self._profile = profile
        self._queue = queue
        self._progress = progress or StartProgress()
        self._groups: Sequence[tuple[Role[Any], ...]] = groups(profile)
        self._handles: dict[Role[Any], DeploymentHandle[Any]] = {}
        self._sizes: dict[Role[Any], SizeRule] = {}
        self._answers = AnswerCache()
        self._mean_s = dict.fromkeys(profile, 0.0)
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def warm_up(self) -> None:
        """Attach to the cluster and wait until every role can be called.

        Raises EngineUnavailableError if the cluster does not answer, ModelUnavailableError if
        another profile is deployed.
        """
        self._connect()
        try:
            self._await_application()
            self._handles = self._known_handles()
        except (DeadlineExceededError, TimeoutError, RayError, RayServeException) as error:
            raise EngineUnavailableError(
                f"the models on the cluster do not answer: {error}"
            ) from error

    def _connect(self) -> None:
        """Attach this process to the cluster as a driver; raises EngineUnavailableError."""
        _attach(self._address)

    def _await_application(self) -> None:
        while not self._closed.wait(_START_POLL_S):
            state = serve.status().applications.get(APPLICATION)
            if state is not None and state.status == "DEPLOY_FAILED":
                raise ModelUnavailableError(f"the models could not be deployed: {state.message}")
            if state is not None and state.status == "RUNNING":
                break
            self._tell_progress(state)
        else:
            raise EngineUnavailableError("the engine was closed before the models were ready")
        directory = serve.get_app_handle(APPLICATION)
        deployed = directory.models.remote().result(timeout_s=_RETRY_TIMEOUT_S)
        expected = {role.name: card.name for role, card in self._profile.items()}
        if deployed != expected:
            raise ModelUnavailableError(
                f"the cluster runs other models: {deployed}, not {expected}"
            )

    def _tell_progress(self, state: Any) -> None:
        """Tell which models are up. state: of the application, as Ray Serve tells it; None if there is none."""
        found = {} if state is None else state.deployments
        up = {name for name, one in found.items() if one.status == "HEALTHY"}
        missing = [
            self._profile[role].name
            for roles in self._groups
            for role in roles
            if group_name(roles) not in up
        ]
        card = missing[0] if missing else None
        self._progress.load(card, len(self._profile) - len(missing), len(self._profile))

    def _known_handles(self) -> dict[Role[Any], DeploymentHandle[Any]]:
        # One for each role, also of a group: the limit of the queue is that of a handle.
        handles = {
            role: serve.get_deployment_handle(group_name(roles), APPLICATION)
            for roles in self._groups
            for role in roles
        }
        for role, handle in handles.items():
            # A handle learns the queue limit with its first call. Until then it does not limit the queue.
            sizes = _wait_for(handle.sizes.remote(role.name), Deadline(_RETRY_TIMEOUT_S))
            if sizes is not None:
                self._sizes[role] = sizes
        return handles

    def offers(self, role: Role[Any]) -> bool:
        """Whether the profile has a model for a role."""
        return role in self._profile

    def sizes(self, role: Role[Any]) -> SizeRule:
        """Return the sizes that a role's model works at.

        Raises ModelUnavailableError if there is no such model or if it is not generative.
        """
        self._handle(role)
        if role not in self._sizes:
            raise ModelUnavailableError(f"the model of {role} works at any size")
        return self._sizes[role]

    @contextmanager
    def use(self, role: Role[P]) -> Iterator[P]:
        """Yield a proxy that sends its calls to the cluster.

        It holds no resources between two calls.
        """
        card = self._profile.get(role)
        copies = card is not None and card.copies_texture
        call: Callable[..., Any] = self.call
        if role.keeps_answers and card is not None:
            call = partial(self._answers.call, call, card.name)
        yield cast(P, ModelProxy(role, call, self.sizes, copies))

    def call(self, role: Role[Any], /, *args: Any, **kwargs: Any) -> Any:
        """Make a call on any replica and wait for its result.

        If the replica dies, retry on another. Raises EngineBusyError, EngineUnavailableError,
        ModelUnavailableError, WorkCancelledError or the model's own error.
        """
        call = Call(role, args, kwargs)
        handle = self._handle(role)
        call.deadline.check()
        with self._timed(role):
            return self._call_with_retries(handle, call)

    def model_states(self) -> ModelStates:
        """Return the models of the profile; which replicas of the cluster have loaded them is not known here."""
        states = [
            ModelState(role.name, card.name, card.memory_mb, "cluster")
            for role, card in self._profile.items()
        ]
        return ModelStates(states)

    def close(self, timeout_s: float = 0) -> bool:
        """Disconnect from the cluster, where the models keep running.

        Always True: no work remains here.
        """
        self._closed.set()
        for handle in self._handles.values():
            handle.shutdown()  # type: ignore[no-untyped-call]
        if ray.is_initialized():
            ray.shutdown()
        return True

    def _handle(self, role: Role[Any]) -> DeploymentHandle[Any]:
        if role not in self._profile:
            raise RoleNotInProfileError(role.name)
        if role not in self._handles:
            raise EngineUnavailableError("the engine has not started yet")
        return self._handles[role]

    def _call_with_retries(self, handle: DeploymentHandle[Any], call: Call) -> Any:
        give_up = time.monotonic() + _RETRY_TIMEOUT_S
        delay, crashes = 0.1, 0
        args = [_by_reference(arg) for arg in call.args]
        kwargs = {name: _by_reference(arg) for name, arg in call.kwargs.items()}
        while True:
            try:
                response = handle.run.remote(
                    args,
                    kwargs,
                    call.deadline.remaining(),
                    time.time(),
                    log_context(),
                    call.role.name,
                )
                return _wait_for(response, call.deadline)
            except BackPressureError:
                raise self._busy(call.role) from None
            except RayTaskError as error:
                # The cause has the traceback on the replica. The traceback here would only show the wait.
                raise error.cause from None
            except LocalRayletDiedError as error:
                # This process can never reach the cluster again: a new one must be started.
                log.critical("the Ray node of this process is gone: shutting down")
                os.kill(os.getpid(), signal.SIGTERM)
                raise EngineUnavailableError(
                    "the server has lost its cluster and shuts down"
                ) from error
            except (RayError, RayServeException) as error:
                crashes += isinstance(error, ActorDiedError)
                log.warning("retry of a call of %s: %s", call.role, type(error).__name__)
                if crashes >= _MAX_CRASHES:
                    text = f"each of {crashes} replicas of {call.role} died of one call"
                    raise RuntimeError(text) from error
                if time.monotonic() + delay > give_up:
                    raise EngineUnavailableError(f"no replica of {call.role} answers") from error
            time.sleep(delay)
            delay = min(2 * delay, 2.0)
            call.deadline.check()

    def _busy(self, role: Role[Any]) -> EngineBusyError:
        # Recent calls took this long, including their time in the queue.
        retry_after = max(1, math.ceil(self._mean_s[role]))
        return EngineBusyError(f"{self._queue} calls wait for {role}, the limit", retry_after)

    @contextmanager
    def _timed(self, role: Role[Any]) -> Iterator[None]:
        start = time.monotonic()
        try:
            yield
        finally:
            elapsed = time.monotonic() - start
            with self._lock:
                share = _NEWEST_SHARE if self._mean_s[role] else 1.0
                self._mean_s[role] += share * (elapsed - self._mean_s[role])


def _attach(address: str) -> None:
    """Attach this process to a cluster as a driver."""
    try:
        ray.init(address, log_to_driver=False, configure_logging=False, ignore_reinit_error=True)
    except (ConnectionError, RayError, RuntimeError) as error:
        raise EngineUnavailableError(
            f"the Ray cluster at {address} is unavailable: {error}"
        ) from error


def _wait_for(response: Any, deadline: Deadline) -> Any:
    """Return the result of a response, at most until the deadline; raises WorkCancelledError or Ray's errors."""
    while True:
        try:
            return _writable(response.result(timeout_s=_POLL_S))
        except (TaskCancelledError, RequestCancelledError):
            deadline.check()
            raise
        except (TimeoutError, GetTimeoutError) as error:
            if isinstance(error, RayTaskError):  # the model's own TimeoutError
                raise
        try:
            deadline.check()
        except BaseException:
            response.cancel()
            raise


def _by_reference(value: Any) -> Any:
    """Put a large array into Ray's shared memory and return a reference; return anything else unchanged."""
    if isinstance(value, np.ndarray) and value.nbytes >= _BY_REFERENCE:
        return ray.put(value)
    return value


def _writable(value: Any) -> Any:
    """Return arrays that the caller may change: arrays in Ray's shared memory are read-only."""
    if isinstance(value, np.ndarray):
        return value if value.flags.writeable else value.copy()
    if isinstance(value, list | tuple):
        return type(value)(_writable(one) for one in value)
    return value

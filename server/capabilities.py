"""GET /capabilities: what this server's profile can do, why the rest is unavailable, and how long it takes."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field
from starlette.responses import Response

from models.catalog.profile import load_profile, profile_title
from models.roles import MODERATION, Models, Role
from models.runtime.model_states import ModelStates, ReportsModels
from server.durations import Durations
from server.http.auth import Tokens
from server.http.rate_limits import RouteOfReaders
from server.http.readers import reader
from server.http.scopes import Scope, needs
from server.http.static_file import StaticFile
from server.jobs.waiting import QuickModels, slow_roles
from server.operation import Operation, VisualQuery
from server.profiles import not_in_profile
from server.storage_limits import StorageLimits

_MODERATED = {
    "v1": "content_moderation is refused: there is no model for it",
    "v2": "visual_input_content_moderation and visual_output_content_moderation are refused: there is no"
    " model for them",
}
"""By version: what a profile without a moderation model cannot do."""

_SYNC_FALSE = "only requests with sync=false: the model takes minutes"


class OperationState(BaseModel):
    """Whether a route works on this server."""

    operation: str
    method: str
    path: str
    available: bool
    reason: str | None = Field(None, description="Why it is unavailable; it then answers 506.")
    limits: list[str] = Field(description="What it cannot do with this profile.")
    expected_seconds: float | None = Field(
        None,
        description="Rough time of its models for 2 megapixels on two processor cores.",
    )
    measured_seconds: float | None = Field(
        None, description="Median of its last runs on this server."
    )


class ModelState(BaseModel):
    """The model behind a role."""

    role: str
    model: str
    licence: str
    memory_mb: int
    device: str | None = Field(None, description="Where it runs, by torch's name, or `cluster`.")
    dtype: str | None = Field(None, description="Data type of its weights there.")
    expected_seconds: float | None = None


class StorageFigures(BaseModel):
    """What is stored, and what may be."""

    disk_free_mb: float | None = Field(None, description="Free space of the disk, in MiB.")
    disk_reserve_mb: float | None = Field(
        None, description="Below so much free space nothing new is stored, in MiB."
    )
    disk_full: bool = Field(description="Whether nothing new is stored at the moment.")
    stored_mb: float | None = Field(None, description="What this organisation stores, in MiB.")
    max_stored_mb: float | None = Field(None, description="What it may store, in MiB.")
    visuals: int | None = Field(None, description="Its registered pictures.")
    max_visuals: int | None = Field(None, description="How many it may have registered.")


class Capabilities(BaseModel):
    """The answer of /capabilities."""

    profile: str
    needs_token: bool = Field(description="Whether operations take known tokens only.")
    operations: list[OperationState]
    models: list[ModelState]
    device: str | None = Field(
        None, description="What torch models run on: a GPU's name, memory and driver."
    )
    idle_gpus: int = Field(
        description="Further GPUs that the server sees and does not use; RETOUCH_ENGINE=ray uses all."
    )
    storage: StorageFigures


class CapabilitiesReport:
    """Describes a server.

    profile: as in the setting PROFILE. durations: of the operations on this server.
    """

    def __init__(
        self,
        profile: str,
        models: Models,
        durations: Durations,
        operations: Collection[Operation[Any]],
        queries: Collection[VisualQuery],
        routers: Collection[APIRouter],
        storage: StorageLimits,
    ) -> None:
        self._profile = profile
        self._models = models
        self._durations = durations
        self._operations = operations
        self._queries = queries
        self._routers = routers
        self._storage = storage
        self._cards = load_profile(profile)
        self._quick = QuickModels(models, slow_roles(self._cards))

    def describe(self, organisation: str | None, *, needs_token: bool) -> Capabilities:
        """Return the state of every route and model, and what an organisation stores."""
        engine = self._models
        known = engine.model_states() if isinstance(engine, ReportsModels) else ModelStates([])
        states = {state.role: state for state in known.models}
        return Capabilities(
            profile=profile_title(self._profile),
            needs_token=needs_token,
            operations=sorted(self._states(), key=lambda state: state.path),
            models=[
                ModelState(
                    role=role.name,
                    model=card.name,
                    licence=card.licence,
                    memory_mb=card.memory_mb,
                    device=states[role.name].device if role.name in states else None,
                    dtype=states[role.name].dtype if role.name in states else None,
                    expected_seconds=card.seconds,
                )
                for role, card in self._cards.items()
            ],
            device=known.device,
            idle_gpus=known.idle_gpus,
            storage=self._figures(organisation),
        )

    def _figures(self, organisation: str | None) -> StorageFigures:
        state, quota = self._storage.state(organisation), self._storage.quota
        figures = StorageFigures(
            disk_free_mb=_mib(state.free),
            disk_reserve_mb=_mib(state.reserve),
            disk_full=state.is_short,
            stored_mb=_mib(state.used),
            visuals=state.visuals,
        )
        if state.used is not None:
            figures.max_stored_mb = _mib(quota.max_bytes or None)
            figures.max_visuals = quota.max_visuals or None
        return figures

    def _states(self) -> Iterator[OperationState]:
        for operation in self._operations:
            needs, without = (
                operation.needs(self._models),
                {**operation.without, MODERATION: _MODERATED[operation.version]},
            )
            state = self._state(operation.name, operation.method, operation.url, needs, without)
            if state.available:
                state.limits += self._sync_limits(operation)
            yield state
        for query in self._queries:
            yield self._state(query.name, "GET", f"/v1{query.path}", query.needs, query.without)
        for router in self._routers:
            for route in router.routes:
                if isinstance(route, APIRoute):
                    method = ", ".join(sorted(route.methods or ()))
                    yield self._state(route.name, method, f"/v1{route.path}", (), {})

    def _state(
        self,
        name: str,
        method: str,
        path: str,
        needs: Collection[Role[Any]],
        without: Mapping[Role[Any], str],
    ) -> OperationState:
        missing = next((role for role in needs if not self._models.offers(role)), None)
        reason = None if missing is None else not_in_profile(self._profile, missing.name).text
        limits = [text for role, text in without.items() if not self._models.offers(role)]
        return OperationState(
            operation=name,
            method=method,
            path=path,
            available=missing is None,
            reason=reason,
            limits=limits if missing is None else [],
            expected_seconds=self._expected(needs) if missing is None else None,
            measured_seconds=self._durations.median(name),
        )

    def _sync_limits(self, operation: Operation[Any]) -> list[str]:
        """Return what an operation cannot do for a caller who waits, because a model takes minutes."""
        if not all(map(self._quick.offers, operation.needs(self._quick))):
            return [_SYNC_FALSE]
        slow = (role for role in operation.without if self._models.offers(role))
        return [
            f"with sync=true: {operation.without[role]}"
            for role in slow
            if not self._quick.offers(role)
        ]

    def _expected(self, needs: Collection[Role[Any]]) -> float | None:
        """Return the sum of the models' times; None if one is unknown or no model is needed."""
        times = [self._cards[role].seconds if role in self._cards else None for role in needs]
        known = [time for time in times if time is not None]
        return round(sum(known), 2) if known and len(known) == len(times) else None


def _mib(size: int | None) -> float | None:
    """Return bytes as MiB, to a tenth."""
    return None if size is None else round(size / 2**20, 1)


def capabilities_router(report: CapabilitiesReport, tokens: Tokens) -> APIRouter:
    """Return the route. tokens: what knows who may read it (`server.http.readers`)."""
    router = APIRouter(tags=["health"], route_class=RouteOfReaders)

    @router.get(
        "/capabilities",
        summary="What this server can do",
        response_model=Capabilities,
    )
    @needs(Scope.READ)
    def capabilities(request: Request) -> Response:
        found = report.describe(reader(request, tokens), needs_token=tokens.required)
        text = found.model_dump_json().encode()
        # Compressed for who takes it: the playground asks for it first of all.
        return StaticFile(text, "application/json", {"Cache-Control": "private, no-cache"}).answer(
            request
        )

    return router

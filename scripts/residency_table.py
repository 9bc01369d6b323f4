"""Writes which profile fits which GPU into docs/gpu-box.md: `python -m scripts.residency_table`.

A test holds the table equal. Each request runs twice in a simulated pool: with the cards of the profile and the
real rules, but models without weights.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from models.catalog.card import Card
from models.catalog.profile import load_profile, profile_names
from models.device import DeviceConfig
from models.roles import (
    CAPTIONING,
    GENERATIVE_FILL,
    MATTING,
    OUTPAINTING,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    Role,
)
from models.runtime.device_policy import DevicePolicy
from models.runtime.pool import Pool
from models.weights.cache import WeightsCache
from scripts.pages import between_markers

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu-box.md"
_BEGIN, _END = "<!-- residency: begin -->", "<!-- residency: end -->"
GPUS_GB = (12, 16, 24, 48, 80)
MAIN_GB = 30
"""Main memory for evicted models in GiB: half of what a machine of 64 GiB has free."""
_CONTEXT_MB = 700
"""What driver and torch's context take of a GPU, in MiB; an estimate."""
_SHARE = 0.92
"""Of a GPU's memory that models may hold (`models.runtime.device_policy`)."""

REQUESTS: dict[str, tuple[Role[Any], ...]] = {
    "background/replace": (MATTING, PROMPT_REFINEMENT, SCENE_GENERATION),
    "gen_fill": (CAPTIONING, PROMPT_REFINEMENT, GENERATIVE_FILL),
    "image_expansion": (CAPTIONING, OUTPAINTING),
}
"""The roles that each uses by default, in their order."""


class Served(Enum):
    """What a request finds that was served before."""

    STAYS = "stays"
    """All its models are on the GPU."""
    COMES_BACK = "comes back"
    """Models come from main memory, none from disk."""
    LOADS = "loads"
    """Models are loaded from disk."""
    TOO_LARGE = "too large"
    """One of its models does not fit the GPU alone."""


class _Weightless:
    """A model without weights."""

    def networks(self) -> list[object]:
        """Return something that moves."""
        return [self]


@dataclass(frozen=True)
class _SimulatedCard(Card):
    """A card that counts its loads."""

    loads: Any = None

    def load(self, paths: Sequence[Path], device_config: DeviceConfig) -> Any:
        """Return a model without weights."""
        self.loads.append(self.role)
        return _Weightless()


class _AllWeights(WeightsCache):
    """A cache that has all weights."""

    def problem(self, part: Any, *, thorough: bool = False) -> None:
        """Return None."""


@dataclass(frozen=True)
class _SimulatedGpu(DevicePolicy):
    """A GPU to which things are only said to move."""

    moves: Any = None

    def release(self, *, pinned: bool = False) -> None:
        """Do nothing."""

    def release_cached(self) -> None:
        """Do nothing."""

    def to_main_memory(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        """Do nothing."""

    def to_device(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        """Count a move."""
        self.moves.append(networks)


class SimulatedPool:
    """The pool of a profile on a GPU of some GB, with `main_gb` of main memory for evicted models."""

    def __init__(self, name: str, gpu_gb: int, main_gb: int = MAIN_GB) -> None:
        self._loads: list[Role[Any]] = []
        self._moves: list[Any] = []
        self.budget_mb = int(_SHARE * (gpu_gb * 1024 - _CONTEXT_MB))
        profile = {role: self._simulated(card) for role, card in load_profile(name).items()}
        self._pool = Pool(
            profile,
            _AllWeights(Path("no-such-folder")),
            policy=_SimulatedGpu(
                "cuda:0",
                memory_mb=self.budget_mb,
                main_memory_mb=main_gb * 1024,
                moves=self._moves,
            ),
        )

    def _simulated(self, card: Card) -> Card:
        values = {field.name: getattr(card, field.name) for field in fields(Card)}
        return _SimulatedCard(**{**values, "remote_code": False}, loads=self._loads)

    def serve(self, roles: Collection[Role[Any]]) -> Served:
        """Serve a request that uses some roles in turn; those that the profile lacks are left out."""
        self._loads.clear()
        self._moves.clear()
        cards = [self._pool.profile[role] for role in roles if self._pool.offers(role)]
        if any(card.torch and card.memory_mb > self.budget_mb for card in cards):
            return Served.TOO_LARGE
        requests = self._pool.requests
        with requests.needing([card.role for card in cards]):
            for card in cards:
                with requests.using(card.role), self._pool.use(card.role):
                    pass
        if self._loads:
            return Served.LOADS
        return Served.COMES_BACK if self._moves else Served.STAYS


def second(name: str, gpu_gb: int, main_gb: int = MAIN_GB) -> dict[str, Served]:
    """Return what the second request of each kind finds, alone, and what each finds if they come in turn."""
    found = {}
    for kind, roles in REQUESTS.items():
        pool = SimulatedPool(name, gpu_gb, main_gb)
        pool.serve(roles)
        found[kind] = pool.serve(roles)
    pool = SimulatedPool(name, gpu_gb, main_gb)
    turns = [pool.serve(roles) for _ in range(3) for roles in REQUESTS.values()][len(REQUESTS) :]
    found["all three in turn"] = max(turns, key=[*Served].index)
    return found


def gpu_profiles() -> list[str]:
    """Return the built-in profiles with models that need a GPU."""
    return [
        name
        for name in profile_names()
        if any(card.needs_gpu for card in load_profile(name).values())
    ]


def renewed(page: str) -> str:
    """Return the page with its table made again; raises ValueError if it has no place for it."""
    kinds = [*REQUESTS, "all three in turn"]
    rows = ["| profile | GPU | " + " | ".join(kinds) + " |", "|---|---" + "|---" * len(kinds) + "|"]
    for name in gpu_profiles():
        for gpu_gb in GPUS_GB:
            found = second(name, gpu_gb)
            cells = " | ".join(found[kind].value for kind in kinds)
            rows.append(f"| `{name}` | {gpu_gb} GB | {cells} |")
    return between_markers(page, "\n".join(rows), _BEGIN, _END)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text()))

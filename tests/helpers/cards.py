"""Cards that load models made by a function of the test."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from models.catalog.card import Card
from models.device import DeviceConfig
from models.roles import (
    Role,
    role_named,
)
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool


@dataclass(frozen=True)
class FunctionCard(Card):
    """A card that calls a function of the test to load its model."""

    make: Callable[..., Any] = object

    def load(self, paths: Sequence[Path], device_config: DeviceConfig) -> Any:
        return self.make(paths, device_config)


def card(role: Role[Any], make: Callable[..., Any]) -> FunctionCard:
    return FunctionCard(role, f"test-{role}", "none", (), "none", memory_mb=200, make=make)


def pool(folder: Path, **makers: Callable[..., Any]) -> Pool:
    roles = {role_named(name): make for name, make in makers.items()}
    return Pool({role: card(role, make) for role, make in roles.items()}, folder)


def exclusive(folder: Path, models: dict[Role[Any], Any]) -> tuple[LocalEngine, Pool]:
    """Return an engine, and its pool, of models that run one call at a time."""
    cards = {
        role: replace(card(role, lambda *_, model=model: model), exclusive=True)
        for role, model in models.items()
    }
    held = Pool(cards, folder)
    return LocalEngine(held), held

"""Where models are: evicted ones go to main memory as far as it goes, and come back without a load."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog.card import Card
from models.catalog.source import LocalFolder
from models.roles import (
    FACE_ANALYSIS,
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    OUTPAINTING,
    PROMPT_REFINEMENT,
    SCENE_GENERATION,
    SEGMENTATION,
    Role,
)
from models.runtime.device_policy import DevicePolicy
from models.runtime.pool import Pool
from tests.helpers.cards import card

BASE = "base"


@dataclass(frozen=True)
class Device(DevicePolicy):
    """A GPU that only notes what moves: names of networks, and of those that stay.

    there: what was moved in and not out again; what is there does not move in.
    """

    there: set[str] = field(default_factory=set)
    moves: list[tuple[str, set[str], set[str]]] = field(default_factory=list)
    fail: list[str] = field(default_factory=list)
    wait: list[threading.Event] = field(default_factory=list)

    def to_main_memory(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        self._move("out", networks, staying)

    def to_device(self, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        self._move("in", networks, staying)

    def _move(self, way: str, networks: Iterable[Any], staying: Iterable[Any]) -> None:
        moved = {*networks} - {*staying} - (self.there if way == "in" else set())
        self.moves.append((way, moved, {*staying}))
        if way in self.fail:
            raise RuntimeError("out of pinned memory")
        self.there.symmetric_difference_update(moved)
        for event in self.wait:
            assert event.wait(10)


class Model:
    def __init__(self, *networks: str) -> None:
        self._networks = networks

    def networks(self) -> list[str]:
        return [*self._networks]


class Models:
    """A pool of models on a GPU of 100 MiB, which counts what is loaded from disk."""

    def __init__(
        self, folder: Path, cards: dict[Role[Any], tuple[int, int]], main: int = 1000, **how: Any
    ) -> None:
        (folder / BASE).mkdir()
        self.loaded: list[str] = []
        self.device = Device("cuda:0", memory_mb=100, main_memory_mb=main, **how)
        profile = {role: self._card(folder, role, *sizes) for role, sizes in cards.items()}
        self.pool = Pool(profile, folder, policy=self.device)

    def _card(self, folder: Path, role: Role[Any], weights: int, shared: int) -> Card:
        def load(paths: object, config: object) -> object:
            self.loaded.append(role.name)
            return Model(role.name, *([BASE] if shared else []))

        return replace(
            card(role, load),
            memory_mb=weights,
            shared_mb=shared,
            torch=True,
            folders=(LocalFolder(folder / BASE),) if shared else (),
        )

    def use(self, *roles: Role[Any]) -> None:
        for role in roles:
            with self.pool.use(role):
                pass

    def request(self, *roles: Role[Any]) -> list[str]:
        """Use roles as one request does; return what was loaded from disk."""
        self.loaded.clear()
        with self.pool.requests.needing(roles):
            for role in roles:
                with self.pool.requests.using(role), self.pool.use(role):
                    pass
        return [*self.loaded]

    def at(self, *, evicted: bool) -> set[str]:
        stats = self.pool.stats()
        return {
            role.name for role, row in stats.items() if (row.evicted if evicted else row.loaded)
        }


def test_an_evicted_model_comes_back_from_main_memory_without_a_load(tmp_path: Path) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)})
    models.use(MATTING, INPAINTING)
    assert (models.at(evicted=True), models.at(evicted=False)) == ({"matting"}, {"inpainting"})
    assert (models.pool.held_mb, models.pool.evicted_mb) == (60, 60)
    models.use(MATTING)
    assert (models.at(evicted=True), models.at(evicted=False)) == ({"inpainting"}, {"matting"})
    assert models.loaded == ["matting", "inpainting"]
    assert [(way, moved) for way, moved, _ in models.device.moves] == [
        ("in", {"matting"}),  # after each load, for weights that it shares with an evicted model
        ("out", {"matting"}),
        ("in", {"inpainting"}),
        ("out", {"inpainting"}),
        ("in", {"matting"}),
    ]


@pytest.mark.parametrize(("main", "evicted"), [(0, set()), (50, set()), (60, {"matting"})])
def test_only_where_main_memory_is_short_a_model_is_dropped(
    main: int, evicted: set[str], tmp_path: Path
) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)}, main)
    models.use(MATTING, INPAINTING)
    assert models.at(evicted=True) == evicted
    models.use(MATTING)
    assert models.loaded.count("matting") == (1 if evicted else 2)


def test_what_is_dropped_from_main_memory_is_what_no_request_needs(tmp_path: Path) -> None:
    sizes = {role: (60, 0) for role in (SEGMENTATION, MATTING, PROMPT_REFINEMENT, INPAINTING)}
    models = Models(tmp_path, sizes, main=120)
    models.use(SEGMENTATION)
    assert models.request(MATTING, PROMPT_REFINEMENT, INPAINTING)
    assert models.at(evicted=False) == {"inpainting"}
    assert models.at(evicted=True) == {"matting", "prompt_refinement"}


def test_weights_of_one_base_move_with_the_last_role_that_uses_them(tmp_path: Path) -> None:
    sizes = {
        GENERATIVE_FILL: (60, 50),
        OUTPAINTING: (50, 50),
        MATTING: (45, 0),
        INPAINTING: (90, 0),
    }
    models = Models(tmp_path, sizes)
    models.use(GENERATIVE_FILL, OUTPAINTING)
    assert models.pool.held_mb == 60
    models.device.moves.clear()
    models.use(MATTING)  # room for the base, but not for what the fill has on top of it
    assert models.device.moves[0] == ("out", {"generative_fill"}, {"outpainting", BASE})
    assert models.pool.evicted_mb == 10
    models.device.moves.clear()
    models.use(INPAINTING)
    outs = [moved for way, moved, _ in models.device.moves if way == "out"]
    assert sorted(map(sorted, outs)) == [[BASE, "outpainting"], ["matting"]]
    assert models.pool.evicted_mb == 60 + 45
    models.device.moves.clear()
    models.use(GENERATIVE_FILL)  # the base comes back with the first role that needs it
    assert models.device.moves[-1][:2] == ("in", {"generative_fill", BASE})
    models.use(OUTPAINTING)
    assert models.device.moves[-1][:2] == ("in", {"outpainting"})
    assert len(models.loaded) == 4


def test_a_base_stays_while_a_role_that_is_evicted_makes_room_for_another_of_it(
    tmp_path: Path,
) -> None:
    sizes = {GENERATIVE_FILL: (90, 50), SCENE_GENERATION: (90, 50)}
    models = Models(tmp_path, sizes)
    models.use(GENERATIVE_FILL, SCENE_GENERATION)
    models.device.moves.clear()
    models.use(GENERATIVE_FILL)
    assert [(way, moved) for way, moved, _ in models.device.moves] == [
        ("out", {"scene_generation"}),
        ("in", {"generative_fill"}),
    ]


def test_a_model_that_is_loaded_on_an_evicted_base_brings_it_back(tmp_path: Path) -> None:
    sizes = {GENERATIVE_FILL: (60, 50), OUTPAINTING: (50, 50), INPAINTING: (90, 0)}
    models = Models(tmp_path, sizes)
    models.use(GENERATIVE_FILL, INPAINTING, OUTPAINTING)
    assert models.device.moves[-1][:2] == ("in", {"outpainting", BASE})


def test_a_model_in_use_never_moves(tmp_path: Path) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)})
    with models.pool.use(MATTING), models.pool.use(INPAINTING):
        assert not [one for one in models.device.moves if one[0] == "out"]
    assert models.at(evicted=True) == {"inpainting"}


def test_who_needs_a_model_that_moves_waits_until_it_has(tmp_path: Path) -> None:
    gone = threading.Event()
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)})
    models.use(MATTING)
    models.device.wait.append(gone)
    callers = [threading.Thread(target=models.use, args=[role]) for role in (INPAINTING, MATTING)]
    for caller in callers:
        caller.start()
    assert models.pool.held_mb >= 0  # figures are told meanwhile
    gone.set()
    for caller in callers:
        caller.join(10)
    assert sorted(models.loaded) == ["inpainting", "matting"]
    assert all(row.in_use == 0 for row in models.pool.stats().values())


@pytest.mark.parametrize("way", ["out", "in"])
def test_a_model_that_cannot_be_moved_is_loaded_again(way: str, tmp_path: Path) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)})
    models.use(MATTING, INPAINTING)
    models.device.fail.append("out")
    if way == "out":
        models.use(MATTING)
        models.device.fail.clear()
        models.use(INPAINTING)
        assert models.loaded == ["matting", "inpainting", "inpainting"]
        return
    models.device.fail[:] = ["in"]
    with pytest.raises(RuntimeError), models.pool.use(MATTING):
        pass
    models.device.fail.clear()
    models.use(MATTING)
    assert models.loaded.count("matting") == 3


def test_a_model_that_runs_out_of_main_memory_gets_that_of_evicted_models(tmp_path: Path) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), INPAINTING: (60, 0)})
    models.use(MATTING, INPAINTING)
    models.pool._residency.make_room()
    assert models.at(evicted=True) == {"matting", "inpainting"}
    models.pool._residency.make_room(of_device=False)
    assert models.at(evicted=True) == set()


def test_the_memory_of_a_gpu_has_no_part_of_models_without_torch(tmp_path: Path) -> None:
    models = Models(tmp_path, {MATTING: (60, 0), FACE_ANALYSIS: (70, 0)})
    models.pool._slots[FACE_ANALYSIS].card = replace(
        models.pool._slots[FACE_ANALYSIS].card, torch=False
    )
    models.use(FACE_ANALYSIS, MATTING)
    assert models.at(evicted=False) == {"matting", "face_analysis"}
    assert models.pool.held_mb == 60


def test_the_warm_up_fills_main_memory_too_and_drops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.runtime.pool.make_first_calls", lambda *args, **named: None)
    roles = (GENERATIVE_FILL, OUTPAINTING, PROMPT_REFINEMENT, SCENE_GENERATION)
    models = Models(tmp_path, {role: (60, 0) for role in roles}, main=130)
    models.pool.warm_up()
    assert models.at(evicted=True) == {"generative_fill", "outpainting"}
    assert models.at(evicted=False) == {"prompt_refinement"}

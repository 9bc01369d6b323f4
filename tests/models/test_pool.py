"""The pool: loads once, lends counted, survives a load that fails."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.pool import ModelUnavailable, Pool
from models.registry import ROLES, Card, Role, load_profile


def card(role: Role, build: Callable[..., Any]) -> Card:
    return replace(load_profile("lite")[role], name=f"test-{role}", files=(), build=build)


def pool(folder: Path, **builds: Callable[..., Any]) -> Pool:
    return Pool({role: card(role, build) for role, build in builds.items()}, folder)  # type: ignore[misc,arg-type]


def test_many_borrowers_at_once_load_a_model_once_and_share_it(tmp_path: Path) -> None:
    built: list[object] = []

    def build(paths: object, threads: int) -> object:
        built.append(object())
        return built[-1]

    lent = pool(tmp_path, matting=build)
    together = threading.Barrier(8)

    def borrow(_: int) -> tuple[object, int]:
        with lent.matting() as model:
            together.wait(10)
            count = lent.stats()["matting"].lent
            together.wait(10)
            return model, count

    with ThreadPoolExecutor(8) as borrowers:
        seen = list(borrowers.map(borrow, range(8)))
    assert len(built) == 1
    assert seen == [(built[0], 8)] * 8
    assert lent.stats()["matting"].lent == 0
    assert lent.stats()["matting"].loaded


def test_nothing_is_loaded_before_it_is_lent(lite: Pool, weights_dir: Path) -> None:
    fresh = Pool(load_profile("lite"), weights_dir)
    assert not any(row.loaded for row in fresh.stats().values())


def test_a_borrower_that_fails_gives_the_model_back(tmp_path: Path) -> None:
    lent = pool(tmp_path, matting=lambda paths, threads: object())
    with pytest.raises(ZeroDivisionError), lent.matting():
        raise ZeroDivisionError
    assert lent.stats()["matting"].lent == 0


def test_a_slow_load_does_not_hold_up_another_role(tmp_path: Path) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(paths: object, threads: int) -> object:
        started.set()
        assert go_on.wait(10)
        return object()

    lent = pool(tmp_path, matting=slow, inpainting=lambda paths, threads: "quick")

    def borrow() -> None:
        with lent.matting():
            pass

    waiting = threading.Thread(target=borrow)
    waiting.start()
    assert started.wait(10)
    with lent.inpainting() as model:
        assert str(model) == "quick"
    assert not lent.stats()["matting"].loaded
    go_on.set()
    waiting.join(10)
    assert lent.stats()["matting"].loaded


def test_a_failed_load_is_named_leaves_the_rest_working_and_is_tried_again(tmp_path: Path) -> None:
    outcomes = iter([OSError("disk gone"), "model"])

    def build(paths: object, threads: int) -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    lent = pool(tmp_path, matting=build, inpainting=lambda paths, threads: "other")
    with pytest.raises(ModelUnavailable, match=r"test-matting.*disk gone"), lent.matting():
        pass
    with lent.inpainting() as other:
        assert str(other) == "other"
    with lent.matting() as model:
        assert str(model) == "model"


@pytest.mark.parametrize("body", [None, b"short"], ids=["missing", "damaged"])
def test_bad_weights_are_named_and_nothing_is_loaded(tmp_path: Path, body: bytes | None) -> None:
    if body is not None:
        (tmp_path / "u2netp.onnx").write_bytes(body)
    lent = Pool(load_profile("lite"), tmp_path)
    with pytest.raises(ModelUnavailable, match=r"u2netp\.onnx: (missing|5 bytes)"), lent.matting():
        pass
    assert not lent.stats()["matting"].loaded


def test_warm_up_loads_what_it_can_and_then_says_what_it_could_not(
    tmp_path: Path, weights_dir: Path, lite: Pool
) -> None:
    def broken(paths: object, threads: int) -> object:
        raise RuntimeError("no such network")

    profile = {**load_profile("lite"), "matting": card("matting", broken)}
    lent = Pool(profile, weights_dir)
    with pytest.raises(ModelUnavailable, match="no such network"):
        lent.warm_up()
    loaded = {role: row.loaded for role, row in lent.stats().items()}
    assert not loaded.pop("matting")
    assert all(loaded.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_the_profile_lacks_is_named(tmp_path: Path, role: Role) -> None:
    lend = getattr(Pool({}, tmp_path), role)
    with pytest.raises(ModelUnavailable, match=role), lend():
        pass


def test_lite_warms_up_and_every_role_works(lite: Pool) -> None:
    lite.warm_up()
    assert all(row.loaded and row.lent == 0 for row in lite.stats().values())
    grey = np.full((40, 50, 3), 128, np.uint8)
    with lite.matting() as matting:
        assert matting.matte(grey).shape == (40, 50)
    with lite.super_resolution() as enlarger:
        assert enlarger.upscale(grey, 2).shape == (80, 100, 3)

"""The pool: it loads each model once, counts its uses, evicts models and survives a failed load."""

import gc
import random
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.catalog.card import Card
from models.catalog.profile import load_profile
from models.catalog.source import HubFolder, LocalFolder
from models.device import DeviceConfig
from models.errors import ModelOutOfMemoryError, ModelUnavailableError, WeightsUnavailableError
from models.roles import (
    CAPTIONING,
    FACE_EDITING,
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    MODERATION,
    OUTPAINTING,
    ROLES,
    SEGMENTATION,
    SUPER_RESOLUTION,
    Role,
)
from models.runtime.device_policy import DevicePolicy
from models.runtime.local_engine import LocalEngine
from models.runtime.pool import Pool
from models.weights.cache import WeightsCache
from tests.helpers.cards import card, pool


def test_concurrent_callers_load_a_model_once_and_share_it(tmp_path: Path) -> None:
    built: list[object] = []

    def build(paths: object, device_config: object) -> object:
        built.append(object())
        return built[-1]

    models = pool(tmp_path, matting=build)
    together = threading.Barrier(8)

    def call(_: int) -> tuple[object, int]:
        with models.use(MATTING) as model:
            together.wait(10)
            count = models.stats()[MATTING].in_use
            together.wait(10)
            return model, count

    with ThreadPoolExecutor(8) as callers:
        seen = list(callers.map(call, range(8)))
    assert len(built) == 1
    assert seen == [(built[0], 8)] * 8
    assert models.stats()[MATTING].in_use == 0
    assert models.stats()[MATTING].loaded


def test_a_model_is_loaded_on_first_use(lite: Pool, weights_dir: Path) -> None:
    fresh = Pool(load_profile("lite"), weights_dir)
    assert not any(row.loaded for row in fresh.stats().values())


def test_a_caller_that_fails_releases_the_model(tmp_path: Path) -> None:
    models = pool(tmp_path, matting=lambda paths, device_config: object())
    with pytest.raises(ZeroDivisionError), models.use(MATTING):
        raise ZeroDivisionError
    assert models.stats()[MATTING].in_use == 0


def test_a_slow_load_does_not_block_another_role(tmp_path: Path) -> None:
    started, proceed = threading.Event(), threading.Event()

    def slow(paths: object, device_config: object) -> object:
        started.set()
        assert proceed.wait(10)
        return object()

    models = pool(tmp_path, matting=slow, inpainting=lambda paths, device_config: "quick")

    def call() -> None:
        with models.use(MATTING):
            pass

    waiting = threading.Thread(target=call)
    waiting.start()
    assert started.wait(10)
    with models.use(INPAINTING) as model:
        assert str(model) == "quick"
    assert not models.stats()[MATTING].loaded
    proceed.set()
    waiting.join(10)
    assert models.stats()[MATTING].loaded


def test_a_failed_load_is_reported_and_retried_and_other_models_work(tmp_path: Path) -> None:
    outcomes = iter([OSError("disk gone"), "model"])

    def build(paths: object, device_config: object) -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    models = pool(tmp_path, matting=build, inpainting=lambda paths, device_config: "other")
    with (
        pytest.raises(ModelUnavailableError, match=r"test-matting.*disk gone"),
        models.use(MATTING),
    ):
        pass
    with models.use(INPAINTING) as other:
        assert str(other) == "other"
    with models.use(MATTING) as model:
        assert str(model) == "model"


@pytest.mark.parametrize("body", [None, b"short"], ids=["missing", "damaged"])
def test_damaged_weights_are_reported_and_nothing_is_loaded(
    tmp_path: Path, body: bytes | None
) -> None:
    if body is not None:
        (tmp_path / "u2netp.onnx").write_bytes(body)
    models = Pool(load_profile("lite"), tmp_path)
    with (
        pytest.raises(ModelUnavailableError, match=r"u2netp\.onnx: (missing|5 bytes)"),
        models.use(MATTING),
    ):
        pass
    assert not models.stats()[MATTING].loaded


def test_the_warm_up_loads_what_it_can_and_then_reports_failures(
    tmp_path: Path, weights_dir: Path, lite: Pool
) -> None:
    def broken(paths: object, device_config: object) -> object:
        raise RuntimeError("no such network")

    profile = {**load_profile("lite"), MATTING: card(MATTING, broken)}
    models = Pool(profile, weights_dir)
    with pytest.raises(ModelUnavailableError, match="no such network"):
        models.warm_up()
    loaded = {role: row.loaded for role, row in models.stats().items()}
    assert not loaded.pop(MATTING)
    assert all(loaded.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_role_without_a_model_is_named(tmp_path: Path, role: Role[Any]) -> None:
    with pytest.raises(ModelUnavailableError, match=role.name), Pool({}, tmp_path).use(role):
        pass


def test_after_the_warm_up_every_role_of_lite_is_loaded(lite: Pool) -> None:
    lite.warm_up()
    assert all(row.loaded and row.in_use == 0 for row in lite.stats().values())
    grey = np.full((40, 50, 3), 128, np.uint8)
    with lite.use(MATTING) as matting:
        assert matting.matte(grey).shape == (40, 50)
    with lite.use(SUPER_RESOLUTION) as enlarger:
        assert enlarger.upscale(grey, 2).shape == (80, 100, 3)


def sized(role: Role[Any], name: str, megabytes: int, shared: int = 0, folder: str = "") -> Card:
    folders = (LocalFolder(Path(folder)),) if folder else ()
    return replace(
        card(role, lambda paths, device_config: name),
        name=name,
        memory_mb=megabytes,
        shared_mb=shared,
        folders=folders,
    )


def limited(folder: Path, budget: int, *cards: Card, preload: bool = True) -> Pool:
    profile = {card.role: card for card in cards}
    return Pool(profile, folder, policy=DevicePolicy(memory_mb=budget, preload=preload))


def loaded(models: Pool) -> set[str]:
    return {row.model for row in models.stats().values() if row.loaded}


def touch(models: Pool, *roles: Role[Any]) -> None:
    for role in roles:
        with models.use(role):
            pass


THREE = (sized(MATTING, "a", 40), sized(INPAINTING, "b", 40), sized(SEGMENTATION, "c", 40))


def test_the_least_recently_used_model_is_evicted(tmp_path: Path) -> None:
    models = limited(tmp_path, 100, *THREE)
    touch(models, MATTING, INPAINTING, MATTING, SEGMENTATION)
    assert loaded(models) == {"a", "c"}
    touch(models, INPAINTING)
    assert loaded(models) == {"b", "c"}
    assert models.held_mb == 80


def test_only_as_many_models_are_evicted_as_needed(tmp_path: Path) -> None:
    models = limited(tmp_path, 120, *THREE, sized(MODERATION, "large", 80))
    touch(models, MATTING, INPAINTING, SEGMENTATION, MODERATION)
    assert loaded(models) == {"c", "large"}


def test_a_model_in_use_is_not_evicted_until_it_is_released(
    tmp_path: Path,
) -> None:
    models = limited(tmp_path, 50, *THREE)
    with models.use(MATTING) as first, models.use(INPAINTING) as second:
        assert (str(first), str(second)) == ("a", "b")
        assert loaded(models) == {"a", "b"}
        touch(models, SEGMENTATION)
        assert loaded(models) == {"a", "b"}
    assert loaded(models) == {"a"}
    assert models.held_mb <= 50


def test_a_model_larger_than_the_budget_is_loaded_alone(tmp_path: Path) -> None:
    models = limited(tmp_path, 50, THREE[0], sized(MODERATION, "large", 80))
    touch(models, MATTING)
    with models.use(MODERATION) as model:
        assert str(model) == "large"
        assert loaded(models) == {"large"}
    assert loaded(models) == set()


def test_shared_memory_counts_once_while_a_model_uses_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    one = str(tmp_path / "one")
    models = limited(
        tmp_path,
        100,
        sized(GENERATIVE_FILL, "fill", 60, 50, one),
        sized(OUTPAINTING, "out", 55, 50, one),
        sized(MATTING, "a", 40),
    )
    touch(models, GENERATIVE_FILL, OUTPAINTING)
    assert models.held_mb == 65
    touch(models, MATTING)
    assert loaded(models) == {"out", "a"}
    assert models.held_mb == 95


def test_evicted_models_are_freed_and_loaded_again(tmp_path: Path) -> None:
    class Model:
        pass

    built: list[weakref.ref[Model]] = []

    def build(paths: object, device_config: object) -> Model:
        model = Model()
        built.append(weakref.ref(model))
        return model

    first = replace(card(MATTING, build), memory_mb=60)
    models = limited(tmp_path, 100, first, sized(INPAINTING, "b", 60))
    touch(models, MATTING)
    assert built[0]() is not None
    touch(models, INPAINTING)
    gc.collect()
    assert built[0]() is None
    touch(models, MATTING)
    assert len(built) == 2


@pytest.mark.slow
def test_with_concurrent_callers_no_model_in_use_is_evicted_and_the_budget_is_met_at_the_end(
    tmp_path: Path,
) -> None:
    alive: dict[str, int] = {}

    class Model:
        def __init__(self, name: str) -> None:
            self.open = True
            self.name = name
            alive[name] = alive.get(name, 0) + 1

    roles: tuple[Role[Any], ...] = (MATTING, INPAINTING, SEGMENTATION, MODERATION)
    cards = [
        replace(card(role, lambda paths, device_config, role=role: Model(role.name)), memory_mb=40)
        for role in roles
    ]
    models = limited(tmp_path, 100, *cards)
    numbers = random.Random(0)
    order = [roles[numbers.randrange(4)] for _ in range(60)]  # each load collects garbage

    def call(role: Role[Any]) -> bool:
        with models.use(role) as model:
            held = models.stats()[role]
            return model.name == role.name and held.loaded and held.in_use > 0

    with ThreadPoolExecutor(8) as callers:
        assert all(callers.map(call, order))
    assert models.held_mb <= 100
    assert all(row.in_use == 0 for row in models.stats().values())
    assert sum(alive.values()) > 4


def test_two_models_load_at_the_same_time(tmp_path: Path) -> None:
    together = threading.Barrier(2)

    def build(paths: object, device_config: object) -> object:
        together.wait(10)
        return object()

    models = pool(tmp_path, matting=build, inpainting=build)
    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda role: touch(models, role), [MATTING, INPAINTING]))
    assert loaded(models) == {"test-matting", "test-inpainting"}


def test_callers_waiting_for_a_load_that_fails_try_it_themselves(tmp_path: Path) -> None:
    started, proceed = threading.Event(), threading.Event()
    outcomes = iter([OSError("disk gone"), "model"])

    def build(paths: object, device_config: object) -> object:
        started.set()
        assert proceed.wait(10)
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    models = pool(tmp_path, matting=build)

    def call(_: int) -> str:
        try:
            with models.use(MATTING) as model:
                return str(model)
        except ModelUnavailableError:
            return "failed"

    with ThreadPoolExecutor(2) as callers:
        answers = callers.map(call, range(2))
        assert started.wait(10)
        proceed.set()
        assert sorted(answers) == ["failed", "model"]


def test_the_warm_up_loads_only_what_fits(tmp_path: Path) -> None:
    roles: tuple[Role[Any], ...] = (GENERATIVE_FILL, OUTPAINTING, FACE_EDITING)
    quiet = [replace(role, generate_once=None) for role in roles]
    models = limited(tmp_path, 100, *(sized(role, role.name, 40) for role in quiet))
    models.warm_up()
    assert loaded(models) == {"generative_fill", "outpainting"}


def test_without_preloading_the_warm_up_loads_nothing(tmp_path: Path) -> None:
    models = limited(tmp_path, 100, *THREE, preload=False)
    models.warm_up()
    assert loaded(models) == set()


def test_a_load_that_runs_out_of_memory_evicts_idle_models_and_is_retried(
    tmp_path: Path,
) -> None:
    outcomes = iter([MemoryError(), "model", MemoryError(), MemoryError()])

    def build(paths: object, device_config: object) -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    heavy = replace(card(GENERATIVE_FILL, build), torch=True)
    models = Pool({MATTING: THREE[0], GENERATIVE_FILL: heavy}, tmp_path)
    touch(models, MATTING, GENERATIVE_FILL)
    assert loaded(models) == {"test-generative_fill"}
    again = Pool({GENERATIVE_FILL: heavy}, tmp_path)
    with pytest.raises(ModelOutOfMemoryError, match="test-generative_fill does not fit"):
        touch(again, GENERATIVE_FILL)


def test_a_torch_model_that_runs_out_of_memory_gets_the_memory_of_idle_models(
    tmp_path: Path,
) -> None:
    class Greedy:
        calls = 0

        def caption(self, rgb: Any) -> str:
            self.calls += 1
            if self.calls == 1:
                raise MemoryError
            return f"{rgb.shape} {sorted(loaded(models))}"

    greedy = replace(card(CAPTIONING, lambda paths, device_config: Greedy()), torch=True)
    models = Pool({MATTING: THREE[0], CAPTIONING: greedy}, tmp_path)
    touch(models, MATTING)
    engine = LocalEngine(models)
    with engine.use(CAPTIONING) as model:
        assert model.caption(np.zeros((8, 6, 3), np.uint8)) == "(4, 3, 3) ['test-captioning']"
    assert engine.close(10)


def test_the_backend_gets_the_device_config_of_its_card(tmp_path: Path) -> None:
    seen: list[DeviceConfig] = []

    def build(paths: object, device_config: DeviceConfig) -> object:
        seen.append(device_config)
        return object()

    on_gpu = replace(card(MATTING, build), torch=True, dtype="bfloat16")
    plain = card(INPAINTING, build)
    policy = DevicePolicy("cuda:0", threads=3, offload=True)
    touch(
        Pool({MATTING: on_gpu, INPAINTING: plain}, tmp_path, policy=policy),
        MATTING,
        INPAINTING,
    )
    assert seen == [DeviceConfig("cuda:0", "bfloat16", 3, True), DeviceConfig(threads=3)]
    assert DevicePolicy("cuda:0", "float32").device_config(True, "bfloat16").dtype == "float32"
    assert DevicePolicy("cpu").device_config(True, "bfloat16").dtype == "float32"


def test_a_profile_with_one_broken_card_loads_the_others(tmp_path: Path, weights_dir: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('base = "lite"\n[cards.u2netp]\npath = "absent.onnx"')
    with pytest.raises(WeightsUnavailableError, match=r"u2netp: .*absent\.onnx: missing"):
        Pool.for_profile(str(profile), weights_dir)


def test_unpinned_remote_code_is_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "copies" / "net").mkdir(parents=True)
    folder = HubFolder("org/net", None, ("*",), 1)
    foreign = replace(
        card(MATTING, lambda paths, device_config: "ran"), remote_code=True, folders=(folder,)
    )
    models = Pool({MATTING: foreign}, WeightsCache(tmp_path, tmp_path / "copies"))
    with pytest.raises(ModelUnavailableError, match="pinned commit"):
        touch(models, MATTING)


def test_the_start_names_every_missing_file_once_and_how_to_bring_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    profile = tmp_path / "own.toml"
    profile.write_text(
        'captioning = "florence2-onnx"\nobject_detection = "florence2-objects-onnx"\n'
    )
    with pytest.raises(WeightsUnavailableError) as caught:
        Pool.for_profile(str(profile), tmp_path / "weights")
    text = str(caught.value)
    assert text.count("florence2_vision_encoder_quantized.onnx could not be fetched") == 1
    (missing,) = (line for line in text.splitlines() if line.startswith("Missing in "))
    assert str(tmp_path / "weights") in missing
    for part in load_profile(str(profile))[CAPTIONING].parts:
        assert missing.count(part.name) == 1
    assert f"weights fetch {profile}" in text
    assert "RETOUCH_MODELS_DIR" in text


@pytest.mark.parametrize("idle", [0, 3])
def test_idle_gpus_are_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, idle: int
) -> None:
    held = Pool({}, tmp_path, policy=DevicePolicy("cuda:0", torch=True, idle_gpus=idle))
    held._log_devices()
    told = [line for line in caplog.messages if "RETOUCH_ENGINE=ray" in line]
    assert (
        told
        == ["3 more GPUs are idle: with RETOUCH_ENGINE=ray a server uses all of its machine"][
            : bool(idle)
        ]
    )

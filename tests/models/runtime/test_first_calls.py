"""The first calls of models at the start: at which sizes, and what becomes of their errors."""

import logging
from pathlib import Path
from typing import Any

import pytest

from imaging.resize import SizeRule
from models.deadline import Deadline, checkpoint, deadline_scope
from models.device import DeviceConfig
from models.errors import CallerDisconnectedError
from models.roles import GENERATIVE_FILL, MATTING, ROLES, SUPER_RESOLUTION, Role
from models.runtime.first_calls import first_sizes, make_first_calls
from models.start_progress import StartProgress
from tests.helpers.cards import pool
from tests.helpers.fake_models import GenerativeModels, SeedPainter

SDXL = SizeRule(multiple=8, area=1024 * 1024, least=512)
GENERATIVE = [role for role in ROLES if role.generate_once is not None]


@pytest.mark.parametrize(
    "sizes",
    [SDXL, SizeRule(64, 512 * 512, 256), SizeRule(16, 1024 * 1024 * 102 // 100, 512)],
    ids=str,
)
def test_on_a_gpu_the_models_area_is_tried_in_three_shapes(sizes: SizeRule) -> None:
    found = first_sizes(sizes, "cuda:0")
    assert [(width > height) - (width < height) for width, height in found] == [0, 1, -1]
    for width, height in found:
        assert width % sizes.multiple == height % sizes.multiple == 0
        assert min(width, height) >= sizes.least
        assert width * height == pytest.approx(sizes.area, rel=0.1)


def test_on_the_processor_one_small_picture_suffices() -> None:
    assert first_sizes(SDXL, "cpu") == [(512, 512)]
    assert first_sizes(SizeRule(multiple=48, area=64 * 64, least=32), "cpu") == [(48, 48)]


@pytest.mark.parametrize("role", GENERATIVE, ids=str)
def test_every_generative_role_makes_a_picture_of_each_size(
    role: Role[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    made = []
    original = getattr(SeedPainter, role.method)

    def method(self: SeedPainter, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        first = result[0] if isinstance(result, list | tuple) else result
        made.append((first.shape[1], first.shape[0]))
        return result

    monkeypatch.setattr(SeedPainter, role.method, method)
    make_first_calls(role, SeedPainter(), "painter", DeviceConfig("cuda:0"))
    assert made == first_sizes(SeedPainter.sizes, "cuda:0")
    told = [row.message for row in caplog.records if "first picture of" in row.message]
    assert [line.partition(" in ")[0] for line in told] == [
        f"painter: first picture of {width} x {height}" for width, height in made
    ]


def test_the_roles_that_generate_are_those_with_sizes() -> None:
    generative = {role for role in ROLES if role.retry and role.warm_up is None}
    assert set(GENERATIVE) == generative
    assert all((role.warm_up is None) != (role.generate_once is None) for role in ROLES)


def test_an_upscaler_runs_once_for_each_factor() -> None:
    factors = []

    class Upscaler:
        def upscale(self, rgb: Any, factor: int) -> None:
            factors.append(factor)

    make_first_calls(SUPER_RESOLUTION, Upscaler(), "upscaler", DeviceConfig())
    assert factors == [2, 4]


class Small(SeedPainter):
    """Has memory for a square only."""

    def fill_by_prompt(self, rgb: Any, *args: Any) -> Any:
        """Raise unless it is a square."""
        if rgb.shape[0] != rgb.shape[1]:
            raise MemoryError
        return super().fill_by_prompt(rgb, *args)


def test_a_size_that_memory_does_not_suffice_for_is_told_and_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    make_first_calls(GENERATIVE_FILL, Small(), "small", DeviceConfig("cuda:0"))
    told = [row.message for row in caplog.records if row.levelno == logging.WARNING]
    assert len(told) == 2
    assert all("small: too little memory for a first picture" in line for line in told)


def test_another_error_is_raised() -> None:
    class Broken(SeedPainter):
        def fill_by_prompt(self, *args: Any) -> Any:
            raise RuntimeError("no kernel image is available")

    with pytest.raises(RuntimeError, match="no kernel image"):
        make_first_calls(GENERATIVE_FILL, Broken(), "broken", DeviceConfig("cuda:0"))


def test_a_warm_up_tells_its_progress_and_stops_when_it_is_cancelled(tmp_path: Path) -> None:
    deadline = Deadline()
    progress = StartProgress()
    seen = []

    class Model(SeedPainter):
        def matte(self, rgb: Any) -> None:
            seen.append(progress.as_json())

        def fill_by_prompt(self, *args: Any) -> Any:
            seen.append(progress.as_json())
            deadline.cancel()
            checkpoint()

    roles = ("matting", "generative_fill", "captioning")
    models = pool(tmp_path, **{name: lambda paths, device_config: Model() for name in roles})
    models._progress = progress
    with deadline_scope(deadline), pytest.raises(CallerDisconnectedError):
        models.warm_up()
    assert seen == [
        {"card": "test-matting", "models": 0, "total_models": 3},
        {"card": "test-generative_fill", "models": 1, "total_models": 3},
    ]
    assert not models.stats()[MATTING].in_use


def test_the_fakes_have_every_role() -> None:
    models = GenerativeModels()
    for role in GENERATIVE:
        with models.use(role) as model:
            make_first_calls(role, model, role.name, DeviceConfig())

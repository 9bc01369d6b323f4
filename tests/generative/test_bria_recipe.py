"""How BRIA's models are called: what is published of steps, guidance, prompts, masks and known latents."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.picture import Rgb
from models.backends.diffusion import latent_control
from models.backends.diffusion.image_prompt import arguments
from models.backends.diffusion.latent_control import LatentControl, Request, Schedule
from models.backends.diffusion.sdxl import prefill
from models.backends.diffusion.sdxl_pipeline import Guide
from models.device import DeviceConfig
from models.tiny.bria import make_repositories
from tests.helpers.tiny_bria import (
    alpha,
    apart,
    load_erase,
    load_expand,
    load_fill,
    load_scene,
    noise,
    square,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WORDS, OTHERS = "cats " * 60, "rain and snow " * 40
"""Long, so that tiny encoders with random weights tell them apart."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bria")
    make_repositories(folder)
    return folder


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the models of this test are asked to generate; they do generate it."""
    asked: list[Request] = []
    generate = LatentControl.generate

    def spy(self: LatentControl, request: Request, seeds: list[int]) -> list[Rgb]:
        asked.append(request)
        return generate(self, request, seeds)

    monkeypatch.setattr(LatentControl, "generate", spy)
    return asked


def test_a_negative_prompt_has_its_effect_everywhere(folder: Path) -> None:
    scene, fill, expand = load_scene(folder), load_fill(folder), load_expand(folder)

    def filled(negative: str) -> Rgb:
        return fill.fill_by_prompt(noise(), square(), "a dog", negative, [1])[0]

    def drawn(negative: str, fast: bool) -> Rgb:
        return scene.scenes(noise(), alpha(), "a beach", negative, [1], fast=fast)[0]

    def continued(negative: str) -> Rgb:
        return expand.outpaint(noise(), ~square(), "a beach", negative, 1)

    for make in (filled, continued, partial(drawn, fast=False), partial(drawn, fast=True)):
        assert apart(make(WORDS), make(OTHERS)) > 0


@pytest.mark.parametrize(
    ("make", "standing", "schedule"),
    [
        ("fill", "blurry", Schedule(slow=False, steps=12, guidance=1.2)),
        ("expand", "blurry", Schedule(slow=False, steps=12, guidance=1.2)),
        ("erase", "blurry", Schedule(slow=False, steps=12, guidance=1.2)),
        ("slow", "Logo,Watermark,Text,", Schedule(slow=True, steps=30, guidance=5.0)),
        ("fast", "Logo,Watermark,Text,", Schedule(slow=False, steps=8, guidance=1.2)),
        ("alone", "Logo,Watermark,Text,", Schedule(slow=False, steps=8, guidance=1.0)),
    ],
)
def test_steps_guidance_and_standing_negative_prompt(
    folder: Path, requests: list[Request], make: str, standing: str, schedule: Schedule
) -> None:
    own = "" if make in ("erase", "alone") else "cats"
    if make == "fill":
        load_fill(folder).fill_by_prompt(noise(), square(), "a dog", own, [1])
    elif make == "expand":
        load_expand(folder).outpaint(noise(), ~square(), "a dog", own, 1)
    elif make == "erase":
        load_erase(folder).fill(noise(), square())
    else:
        load_scene(folder).scenes(noise(), alpha(), "a dog", own, [1], fast=make != "slow")
    (request,) = requests
    assert request.schedule == schedule
    assert request.negative_prompt.startswith(standing)
    assert request.negative_prompt.endswith(own)


@pytest.mark.parametrize(("make", "grey"), [("fill", 127), ("expand", 128)])
def test_the_hole_is_grey_in_the_control_and_one_in_the_mask(
    folder: Path, requests: list[Request], make: str, grey: int
) -> None:
    hole = square()
    if make == "fill":
        load_fill(folder).fill_by_prompt(noise(), hole, "", "", [1])
    else:
        load_expand(folder).outpaint(noise(), hole, "", "", 1)
    (request,) = requests
    assert request.mask[hole].all()
    assert (request.control[request.mask] == grey).all()
    assert np.array_equal(request.control[~request.mask], noise()[~request.mask])
    assert not request.mask[:8].any()


def test_the_eraser_sees_lamas_fill_and_begins_from_it(
    folder: Path, requests: list[Request]
) -> None:
    erase = load_erase(folder)
    erase.fill(noise(), square())
    coarse = erase._lama.fill(noise(), square())
    (request,) = requests
    assert request.begun
    assert request.known is not None
    assert np.array_equal(request.control, coarse)
    assert np.array_equal(request.known, coarse)
    assert apart(coarse, noise()) > 50


@pytest.mark.parametrize("slow", [False, True])
def test_what_begins_from_a_picture_depends_on_what_is_in_its_hole(
    folder: Path, slow: bool
) -> None:
    model = load_scene(folder)._model

    def made(level: int, begun: bool) -> Rgb:
        known = noise()
        known[square()] = level
        schedule = Schedule(slow, steps=2, guidance=1.0)
        return model.generate(
            Request(noise(3), square(), "", "", schedule, known=known, begun=begun), [1]
        )[0]

    assert apart(made(0, begun=True), made(255, begun=True)) > 0


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_latents_outside_the_mask_end_as_those_of_the_known_picture(
    folder: Path, monkeypatch: pytest.MonkeyPatch, slow: bool, begun: bool
) -> None:
    made: list[torch.Tensor] = []
    decode = latent_control._decode

    def spy(vae: object, latents: torch.Tensor) -> Rgb:
        made.append(latents[0])
        return decode(vae, latents)

    monkeypatch.setattr(latent_control, "_decode", spy)
    model = load_scene(folder)._model
    request = Request(
        noise(1), square(), "", "", Schedule(slow, 4, 1.2), known=noise(), begun=begun
    )
    model.generate(request, [1, 2])
    (known,) = model._encoded(model._base.pipe, noise())
    mask = torch.from_numpy(square()[::8, ::8].copy())
    assert len(made) == 2
    for latents in made:
        assert torch.equal(latents[:, ~mask], known[:, ~mask])
        assert (latents[:, mask] - known[:, mask]).abs().mean() > 0.01


def test_a_fill_blends_in_a_picture_without_the_old_content_of_the_hole(
    folder: Path, requests: list[Request]
) -> None:
    load_fill(folder).fill_by_prompt(noise(), square(), "", "", [1])
    (request,) = requests
    assert not request.begun
    assert request.known is not None
    assert np.array_equal(request.known, prefill(noise(), square()))


def test_a_reference_picture_is_squeezed_to_the_encoders_square(folder: Path) -> None:
    pipe = load_scene(folder, "prompt")._model._guided[False]
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 90:] = 255
    given = arguments(pipe, Guide(wide, 0.5), (64, 64))
    seen: Image.Image = given["ip_adapter_image"]
    assert seen.size == (32, 32)
    # Nothing is cropped: the bright quarter at the right is a quarter still.
    assert (np.asarray(seen)[:, :, 0] > 127).mean() == 0.25
    (mask,) = given["cross_attention_kwargs"]["ip_adapter_masks"]
    assert mask.unique().tolist() == [0.5]


def test_the_fast_scheduler_has_the_configuration_of_the_base(folder: Path) -> None:
    model = load_scene(folder)._model
    config = model._base.pipe.scheduler.config
    fast, slow = (model._scheduler(way) for way in (False, True))
    assert type(fast).__name__ == "LCMScheduler"
    assert type(slow).__name__ == "EulerAncestralDiscreteScheduler"
    for scheduler in (fast, slow):
        assert scheduler.config.beta_schedule == config.beta_schedule == "scaled_linear"
        assert scheduler.config.beta_end == config.beta_end


@pytest.mark.parametrize("fails", [False, True])
def test_only_one_of_the_two_unets_is_on_a_gpu(fails: bool) -> None:
    moves: list[tuple[str, str]] = []

    class Network:
        def __init__(self, name: str) -> None:
            self.name = name

        def to(self, device: str) -> None:
            moves.append((self.name, device))

        def parameters(self) -> Iterator[torch.Tensor]:
            """Return none: no graph reads its weights."""
            return iter(())

    model = LatentControl.__new__(LatentControl)
    model._device_config = DeviceConfig(device="cuda:1", dtype="float16")
    base: Any = SimpleNamespace(pipe=SimpleNamespace(unet=Network("fast")))
    model._base = base
    model._pipes = {True: SimpleNamespace(unet=Network("slow"))}
    with model._resident(slow=False):
        assert moves == []
    with suppress(ValueError), model._resident(slow=True):
        assert moves == [("fast", "cpu"), ("slow", "cuda:1")]
        if fails:
            raise ValueError
    assert moves[2:] == [("slow", "cpu"), ("fast", "cuda:1")]

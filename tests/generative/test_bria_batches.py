"""Several results of one request of profile `bria`: batches, and what is encoded once."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from imaging.picture import Rgb
from models.backends.diffusion.bria import BriaErase, BriaFill, BriaScene
from models.deadline import Deadline, deadline_scope
from models.device import DeviceConfig
from models.errors import CallerDisconnectedError
from models.tiny.bria import make_repositories
from tests.helpers.recorder import recorded
from tests.helpers.tiny_bria import alpha, load_erase, load_fill, noise, square

# EulerAncestralDiscreteScheduler passes a tensor to np.array (diffusers 0.42 with NumPy 2).
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bria")
    make_repositories(folder)
    return folder


@pytest.fixture(scope="module")
def fill(folder: Path) -> BriaFill:
    return load_fill(folder)


@pytest.fixture(scope="module")
def erase(folder: Path) -> BriaErase:
    return load_erase(folder)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_half_precision_a_request_repeats_and_a_seed_alone_looks_the_same(
    folder: Path, dtype: str
) -> None:
    paths = [folder / "erase", folder / "control"]
    fill = BriaFill.load(paths, DeviceConfig(dtype=dtype))
    one, again = (fill.fill_by_prompt(noise(), square(), "a dog", "", [1, 2, 3]) for _ in range(2))
    assert all(map(np.array_equal, one, again))
    (alone,) = fill.fill_by_prompt(noise(), square(), "a dog", "", [2])
    assert mean_apart(alone, one[1]) < mean_apart(alone, one[0]) / 4


def mean_apart(one: Rgb, other: Rgb) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_seeds_go_through_the_networks_together_and_the_rest_is_done_once(
    folder: Path, dtype: str
) -> None:
    paths = [folder / name for name in ("erase", "control", "slow", "prompt")]
    scene = BriaScene.load(paths, DeviceConfig(dtype=dtype))
    pipe = scene._model._guided[False]
    networks = (pipe.unet, pipe.controlnet, pipe.vae.encoder, pipe.vae.decoder)
    with ExitStack() as recorders:
        enter = recorders.enter_context
        unet, control, encoder, decoder = (enter(recorded(network)) for network in networks)
        texts, prompted = enter(recorded(pipe.text_encoder)), enter(recorded(pipe.image_encoder))
        scene.scenes(noise(), alpha(), "a beach", "fog", [1, 2, 3, 4], reference=noise(2))
        once = len(texts)
        scene.scenes(noise(), alpha(), "a beach", "fog", [1, 2], reference=noise(2))
    rows = [8] * 8 + [4] * 8  # eight steps of four pictures with guidance, then of two
    assert [len(call["0"]) for call in unet] == rows
    assert [len(call["0"]) for call in control] == rows
    assert [len(call["0"]) for call in encoder] == [1, 1]
    assert [len(call["0"]) for call in decoder] == [1] * 6
    assert len(texts) == 2 * once
    assert len(prompted) == 2


def test_what_several_batches_share_is_encoded_once(fill: BriaFill, erase: BriaErase) -> None:
    pipe = fill._model._base.pipe
    with recorded(pipe.text_encoder) as texts, recorded(pipe.vae.encoder) as pictures:
        fill.fill_by_prompt(noise(), square(), "a dog", "", [1])
        once = len(texts)
        fill.fill_by_prompt(noise(), square(), "a dog", "", range(6))
    assert len(texts) == 2 * once
    assert len(pictures) == 2 * 2  # the control, and what is known of the picture
    with recorded(pipe.vae.encoder) as pictures:
        erase.fill(noise(), square())
    assert len(pictures) == 1  # the control is what is known


def test_a_caller_that_disconnects_stops_between_two_batches(fill: BriaFill) -> None:
    deadline = Deadline()
    pipe = fill._model._base.pipe
    hook = pipe.vae.decoder.register_forward_hook(lambda *_: deadline.cancel())
    try:
        with (
            deadline_scope(deadline),
            recorded(pipe.unet) as passes,
            pytest.raises(CallerDisconnectedError),
        ):
            fill.fill_by_prompt(noise(), square(), "a dog", "", range(6))
    finally:
        hook.remove()
    assert [len(call["0"]) for call in passes] == [8] * 12 + [4]

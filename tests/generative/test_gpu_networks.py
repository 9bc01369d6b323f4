"""The networks of the GPU benchmark: their full sizes, counted without memory, and how they are run."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from segment_anything import SamAutomaticMaskGenerator, build_sam_vit_h
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
from torch.autograd import DeviceType

from models.backends.torch.checkpoints import read_state
from models.backends.torch.sam import build
from models.tiny import sam
from scripts.gpu_benchmark import float8, matting_code, networks, rates
from scripts.gpu_benchmark.networks import TEXT, TEXT_2, VISION, random

kinds: Any = transformers


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (networks.unet, 2567.5),
        (networks.vae, 83.7),
        (networks.controlnet, 1251.0),
        (partial(kinds.CLIPTextModel, kinds.CLIPTextConfig(**TEXT)), 123.1),
        (partial(kinds.CLIPTextModelWithProjection, kinds.CLIPTextConfig(**TEXT_2)), 694.7),
        (partial(kinds.CLIPVisionModelWithProjection, kinds.CLIPVisionConfig(**VISION)), 632.1),
        (partial(kinds.Qwen3ForCausalLM, kinds.Qwen3Config(**networks.QWEN3_4B)), 4022.5),
        (build_sam_vit_h, 641.1),
        (networks.lama_network, 51.1),
        (partial(matting_code.SwinMatting, matting_code.SwinMattingConfig()), 219.8),
        (RRDBNet, 16.7),
    ],
)
@pytest.mark.filterwarnings("default")
def test_full_sizes_have_the_parameters_of_the_published_models(
    build: Any, millions: float
) -> None:
    parameters = sum(tensor.numel() for tensor in random(build, "meta").parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.5)


def test_a_network_of_birefnets_form_returns_one_logit_for_each_pixel() -> None:
    network = matting_code.SwinMatting(matting_code.SwinMattingConfig(**matting_code.TINY)).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 3, 64, 64))[-1]
    assert logits.shape == (2, 1, 64, 64)
    assert logits.isfinite().all()


def test_float8_layers_return_almost_the_same_and_others_stay() -> None:
    torch.manual_seed(0)
    block = torch.nn.Sequential(torch.nn.Linear(32, 48), torch.nn.GELU(), torch.nn.Linear(48, 10))
    x = torch.randn(2, 5, 32)
    expected = block[0](x)
    assert float8.convert(block, ["Sequential"], float8.plain_multiply) == 1
    assert isinstance(block[2], torch.nn.Linear)  # 10 is no multiple of 16
    found = block[0](x)
    assert found.shape == expected.shape
    assert float(((found - expected).norm() / expected.norm()).detach()) < 0.06
    assert block(x).shape == (2, 5, 10)


def test_a_need_counts_products_weights_and_result() -> None:
    layer = torch.nn.Linear(8, 4, bias=False)
    need = rates.need(layer, lambda: layer(torch.ones(3, 8)))
    assert need.flop == 2 * 3 * 8 * 4
    assert need.moved == 4 * (8 * 4 + 3 * 4)
    slow, fast = 10.0, 1e9
    by_products = rates.Rates({torch.float32: slow}, fast).floor_ms(need)
    assert by_products == pytest.approx(need.flop / slow * 1000)
    by_bytes = rates.Rates({torch.float32: fast}, slow).floor_ms(need * 2)
    assert by_bytes == pytest.approx(2 * need.moved / slow * 1000)


def test_the_products_of_deformable_convolutions_are_counted() -> None:
    layer = matting_code._Deformable(4, 6, 3)
    need = rates.need(layer, lambda: layer(torch.ones(1, 4, 8, 8)))
    pixels, taps = 8 * 8, 9
    assert need.flop == 2 * pixels * 4 * taps * (6 + 2 * taps + taps)


def test_kernels_are_what_ran_on_the_device_without_copies() -> None:
    names = ["gemm", "Memcpy HtoD", "Memset (Device)", "add"]
    events = [SimpleNamespace(name=name, device_type=DeviceType.CUDA) for name in names]
    events.append(SimpleNamespace(name="aten::add", device_type=DeviceType.CPU))
    assert rates.kernels(events) == 2


def test_a_sam_of_random_weights_finds_masks(tmp_path: Any) -> None:
    sam.make_tiny(tmp_path)
    file = next(tmp_path.glob("*.safetensors"))
    state = read_state(file)
    network = build(state, file)
    network.load_state_dict(state)
    networks.find_masks(network)
    picture = (torch.rand(64, 64, 3, generator=torch.manual_seed(0)) * 255).byte().numpy()
    assert SamAutomaticMaskGenerator(network.eval(), points_per_side=2).generate(picture)

"""Segmentation with SAM and SAM 2: one label map, strict loading, and limited memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry
from segment_anything.utils.amg import rle_to_mask
from transformers import MaskGenerationPipeline

from imaging.picture import Picture
from models.backends.torch.point_batches import points_at_once
from models.backends.torch.sam import Sam, _MaskGenerator, build
from models.backends.torch.sam2 import Sam2, SquarePoints
from models.device import DeviceConfig
from models.errors import BadWeightsError
from models.tiny import sam, sam2
from tests.helpers.one_at_a_time import one_at_a_time

Photo = Callable[[str], Picture]
ANY_MASK = (-9.0, -1.0)
"""Thresholds that accept every mask, also those of random weights."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam")
    sam.make_tiny(folder)
    return folder / "tiny-sam.safetensors"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sam2")
    sam2.make_tiny(folder)
    return folder


@pytest.fixture(scope="module", params=["sam", "sam2"])
def network(request: pytest.FixtureRequest, file: Path, folder: Path) -> Callable[..., Any]:
    """The constructor of a tiny network with few points."""
    made = partial(Sam, file) if request.param == "sam" else partial(Sam2, folder)
    return partial(made, points=4, thresholds=ANY_MASK)


@pytest.mark.parametrize("shape", [(1, 1), (3, 80), (90, 140)])
def test_labels_are_small_numbers_at_the_size_of_the_picture(
    network: Callable[..., Any], shape: tuple[int, int]
) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    before = rgb.copy()
    labels = network().segment(rgb)
    assert labels.dtype == np.uint8
    assert labels.shape == shape
    assert sorted(set(np.unique(labels)) - {0}) == list(range(1, labels.max() + 1))
    assert np.array_equal(rgb, before)


def test_masks_below_the_thresholds_are_dropped(network: Callable[..., Any], photo: Photo) -> None:
    labels = network(thresholds=(9.0, 1.0)).segment(photo("coffee").rgb[:60, :80])
    assert not labels.any()


def test_concurrent_calls_return_the_same_as_single_ones(
    network: Callable[..., Any], photo: Photo
) -> None:
    model = network()
    pictures = [photo(name).rgb[:90, :120] for name in ("astronaut", "coffee", "chelsea")] * 2
    with one_at_a_time() as queued, ThreadPoolExecutor(3) as threads:
        together = list(threads.map(queued(model.segment), pictures))
    assert all(
        np.array_equal(labels, model.segment(rgb))
        for labels, rgb in zip(together, pictures, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_used_only_on_gpus(network: Callable[..., Any], dtype: str) -> None:
    with network(device_config=DeviceConfig(dtype=dtype))._module.on_device() as layers:
        assert {weight.dtype for weight in layers.parameters()} == {torch.float32}
        assert not any(layer.training for layer in layers.modules())


def test_masks_are_made_for_few_points_at_once_and_at_a_limited_size(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.backends.torch.mask_processing.WORK_PIXELS", 20_000)
    drawn: list[torch.Size] = []
    model = Sam(file, points=6, batch=5, thresholds=ANY_MASK)
    with model._module.on_device() as layers:
        draw = layers.postprocess_masks

        def watched(*args: Any, **named: Any) -> torch.Tensor:
            masks: torch.Tensor = draw(*args, **named)
            drawn.append(masks.shape)
            return masks

        monkeypatch.setattr(layers, "postprocess_masks", watched)
    labels = model.segment(np.zeros((600, 900, 3), np.uint8))
    assert labels.shape == (600, 900)
    assert sum(shape[0] for shape in drawn) == 3 * 36
    assert max(shape[0] for shape in drawn) == 3 * 5
    assert max(shape[2] * shape[3] for shape in drawn) <= 20_000


def test_a_processor_runs_eight_points_at_once(file: Path, folder: Path) -> None:
    assert Sam(file)._batch is Sam2(folder)._batch is None
    assert points_at_once(torch.device("cpu")) == 8


@pytest.mark.parametrize(
    ("free_gib", "cached_gib", "points"),
    [(70, 0, 1024), (40, 0, 512), (16, 0, 256), (2, 14, 256), (3, 0, 64), (0, 0, 64)],
)
def test_a_gpu_gets_as_many_points_as_half_its_free_memory_holds(
    free_gib: int, cached_gib: int, points: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free_gib * 2**30, 80 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: (cached_gib + 5) * 2**30)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 5 * 2**30)
    assert points_at_once(torch.device("cuda:0")) == points


@pytest.mark.parametrize("thresholds", [ANY_MASK, "middle"], ids=["any", "some"])
def test_the_masks_are_those_of_the_package(
    file: Path, photo: Photo, thresholds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rgb = np.ascontiguousarray(photo("coffee").rgb[:120, :160])
    model = Sam(file, points=5, thresholds=ANY_MASK)
    with model._module.on_device() as network:

        def generated(kind: Any, batch: int, least: tuple[float, float]) -> list[dict[str, Any]]:
            made = kind(
                network,
                points_per_side=5,
                points_per_batch=batch,
                pred_iou_thresh=least[0],
                stability_score_thresh=least[1],
                stability_score_offset=1e-3,  # random weights are never as certain as 1
                output_mode="uncompressed_rle",
            ).generate(rgb)
            return sorted(made, key=lambda mask: (mask["point_coords"], mask["area"]))

        if thresholds == "middle":
            network.mask_decoder.iou_prediction_head.layers[-1].bias += 9.0  # all above 0
            found = generated(SamAutomaticMaskGenerator, 64, (1e-9, 1e-9))
            thresholds = (min(mask["predicted_iou"] for mask in found) - 1e-3, 1e-9)
        theirs = generated(SamAutomaticMaskGenerator, 64, thresholds)
        monkeypatch.setattr("models.backends.torch.sam.MASKS_AT_ONCE", 4)
        ours = generated(_MaskGenerator, 7, thresholds)
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one["segmentation"] == other["segmentation"]
        assert one["bbox"] == other["bbox"]
        assert one["predicted_iou"] == pytest.approx(other["predicted_iou"], abs=1e-4)


def test_the_masks_of_sam2_are_those_of_the_pipeline(
    folder: Path, photo: Photo, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.fromarray(np.ascontiguousarray(photo("coffee").rgb[:120, :160]))
    kind: Any = MaskGenerationPipeline
    model = Sam2(folder)
    monkeypatch.setattr("models.backends.torch.sam2.MASKS_AT_ONCE", 4)
    with model._module.on_device() as network:

        def masks(processor: Any, batch: int, iou: float) -> Any:
            made = kind(model=network, image_processor=processor, device="cpu")(
                picture,
                points_per_crop=5,
                points_per_batch=batch,
                pred_iou_thresh=iou,
                stability_score_thresh=-1.0,
            )
            return made["masks"], made["scores"]

        plain = SquarePoints.from_pretrained(folder)
        scores = masks(plain, 64, -9.0)[1]
        for least in (-9.0, float(scores.min()) - 1e-3):
            theirs, their_scores = masks(plain, 64, least)
            ours, our_scores = masks(model._processor, 7, least)
            assert len(ours) == len(theirs) > 0
            assert torch.allclose(our_scores, their_scores, atol=1e-4)
            decoded = [rle_to_mask(mask) for mask in ours]
            assert all(np.array_equal(a, b) for a, b in zip(decoded, theirs, strict=True))


@pytest.mark.parametrize("size", [(160, 120), (90, 160)])
def test_sam2_gets_points_in_all_parts_of_a_picture_that_is_not_square(
    folder: Path, size: tuple[int, int]
) -> None:
    processor = SquarePoints.from_pretrained(folder)
    points = processor.generate_crop_boxes(Image.new("RGB", size), 128, points_per_crop=4)[1]
    cells = (16, 48, 80, 112)
    expected = torch.tensor([(x, y) for y in cells for x in cells], dtype=torch.float32)
    assert torch.allclose(points.reshape(-1, 2), expected, atol=1e-3)


def test_the_kind_of_a_checkpoint_is_found_from_its_tensors() -> None:
    for kind in ("vit_b", "vit_l", "vit_h"):
        with torch.device("meta"):
            published = sam_model_registry[kind]()
            rebuilt = build(published.state_dict(), Path("sam.pth"))
        shapes = {name: value.shape for name, value in published.state_dict().items()}
        assert {name: value.shape for name, value in rebuilt.state_dict().items()} == shapes
        for ours, theirs in zip(
            rebuilt.image_encoder.blocks, published.image_encoder.blocks, strict=True
        ):
            assert ours.window_size == theirs.window_size
            assert ours.attn.num_heads == theirs.attn.num_heads
        assert rebuilt.image_encoder.img_size == 1024
        assert torch.equal(rebuilt.pixel_mean.cpu(), published.pixel_mean.cpu())


def test_a_checkpoint_saved_by_torch_is_read_too(file: Path, tmp_path: Path) -> None:
    torch.save(load_file(file), tmp_path / "sam.pth")
    rgb = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    one, other = (
        Sam(path, points=4, thresholds=ANY_MASK).segment(rgb)
        for path in (file, tmp_path / "sam.pth")
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("missing", "image_encoder.neck.2.weight is missing"),
        ("reshaped", "image_encoder.neck.2.weight is"),
        ("other", "is not a SAM checkpoint"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_named(
    file: Path, tmp_path: Path, change: str, why: str
) -> None:
    state = load_file(file)
    if change == "missing":
        del state["image_encoder.neck.2.weight"]
    elif change == "reshaped":
        state["image_encoder.neck.2.weight"] = torch.zeros(3)
    else:
        state = {"weight": torch.zeros(1)}
    bad = tmp_path / "bad.safetensors"
    save_file(state, bad)
    with pytest.raises(BadWeightsError, match=why) as refused:
        Sam(bad)
    assert str(bad) in str(refused.value)


@pytest.mark.parametrize("change", ["missing", "reshaped", "truncated", "pointer"])
def test_a_repository_whose_weights_do_not_fit_is_refused(tmp_path: Path, change: str) -> None:
    sam2.make_tiny(tmp_path)
    file = tmp_path / "model.safetensors"
    if change == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif change == "pointer":
        file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    else:
        state = load_file(file)
        name = "mask_decoder.iou_token.weight"
        state.pop(name)
        if change == "reshaped":
            state[name] = torch.zeros(3, 3)
        save_file(state, file, {"format": "pt"})
    with pytest.raises(BadWeightsError, match=str(tmp_path)):
        Sam2(tmp_path)

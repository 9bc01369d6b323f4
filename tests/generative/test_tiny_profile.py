"""Profile `tiny`: weights made when missing and loaded as real ones, and one shared pipeline."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.backends.diffusion.sdxl_pipeline import SdxlPipeline
from models.catalog.profile import load_profile
from models.catalog.source import MadeFolder
from models.errors import ModelUnavailableError
from models.roles import (
    CAPTIONING,
    FACE_EDITING,
    GENERATIVE_FILL,
    INPAINTING,
    MATTING,
    OUTPAINTING,
    SCENE_GENERATION,
)
from models.runtime.pool import Pool
from models.tiny import maker

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def pool(folder: Path) -> Pool:
    return Pool.for_profile("tiny", folder, device="cpu")


def test_every_role_loads_and_no_model_stays_in_use(pool: Pool) -> None:
    pool.warm_up()
    assert all(row.loaded and row.in_use == 0 for row in pool.stats().values())
    assert set(pool.stats()) == set(load_profile("open"))


def test_roles_of_one_pipeline_share_its_memory(pool: Pool) -> None:
    with (
        pool.use(GENERATIVE_FILL) as fill,
        pool.use(SCENE_GENERATION) as scene,
        pool.use(OUTPAINTING) as outpaint,
        pool.use(FACE_EDITING) as faces,
    ):
        models: tuple[Any, ...] = (fill, scene, outpaint, faces)
        pipelines = {model._pipeline for model in models}
    assert len(pipelines) == 1
    assert isinstance(pipelines.pop(), SdxlPipeline)


def test_tiny_weights_are_made_once_and_are_the_same_in_every_folder(
    pool: Pool, folder: Path, tmp_path: Path
) -> None:
    part = MadeFolder("models.tiny.lama")
    before = {path: path.stat().st_mtime_ns for path in (folder / "tiny" / "lama").iterdir()}
    maker.make(part, folder / "tiny" / "lama")
    assert before == {
        path: path.stat().st_mtime_ns for path in (folder / "tiny" / "lama").iterdir()
    }
    part = MadeFolder("models.tiny.upscaler")
    with ThreadPoolExecutor(4) as makers:
        list(makers.map(lambda _: maker.make(part, tmp_path / "upscaler"), range(4)))
    assert [path.name for path in tmp_path.iterdir()] == ["upscaler"]
    for path in (tmp_path / "upscaler").iterdir():
        assert path.read_bytes() == (folder / "tiny" / "upscaler" / path.name).read_bytes()


def test_weights_made_by_other_code_are_made_again(tmp_path: Path) -> None:
    part = MadeFolder("models.tiny.upscaler")
    maker.make(part, tmp_path / "upscaler")
    (tmp_path / "upscaler" / ".made-from").write_text("other code")
    (tmp_path / "upscaler" / "old.bin").write_bytes(b"")
    maker.make(part, tmp_path / "upscaler")
    assert not (tmp_path / "upscaler" / "old.bin").exists()


def test_two_pools_return_the_same_matte(pool: Pool, folder: Path) -> None:
    profile = folder / "mine.toml"
    profile.write_text(f'matting = "birefnet"\n[cards.birefnet]\npath = "{folder}/tiny/birefnet"')
    other = Pool.for_profile(str(profile), folder, device="cpu")
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    with pool.use(MATTING) as first, other.use(MATTING) as second:
        assert np.array_equal(first.matte(rgb), second.matte(rgb))
    assert not other.offers(INPAINTING)


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _replace(file: Path) -> None:
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")


@pytest.mark.parametrize("damage", [_truncate, _replace, Path.unlink])
def test_a_damaged_local_folder_is_named_and_the_others_work(
    pool: Pool, folder: Path, tmp_path: Path, damage: object
) -> None:
    maker.make(MadeFolder("models.tiny.birefnet"), tmp_path / "net")
    damage(tmp_path / "net" / "model.safetensors")  # type: ignore[operator]
    profile = tmp_path / "mine.toml"
    profile.write_text('base = "tiny"\nmatting = "birefnet"\n[cards.birefnet]\npath = "net"')
    broken = Pool.for_profile(str(profile), folder, device="cpu")
    with (
        pytest.raises(ModelUnavailableError, match=f"birefnet.*{tmp_path}/net"),
        broken.use(MATTING),
    ):
        pass
    with broken.use(INPAINTING) as inpainting:
        hole = np.pad(np.ones((8, 8), np.bool_), 12)
        assert inpainting.fill(np.zeros((32, 32, 3), np.uint8), hole).shape == (32, 32, 3)


def test_a_missing_local_folder_leaves_the_others_working(folder: Path, tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text('base = "tiny"\nmatting = "birefnet"\n[cards.birefnet]\npath = "absent"')
    broken = Pool.for_profile(str(profile), folder, device="cpu")
    with (
        pytest.raises(ModelUnavailableError, match=rf"{tmp_path}/absent: missing"),
        broken.use(MATTING),
    ):
        pass
    with broken.use(CAPTIONING) as captioner:
        assert isinstance(captioner.caption(np.zeros((32, 32, 3), np.uint8)), str)

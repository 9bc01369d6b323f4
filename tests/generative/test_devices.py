"""Why torch sees no GPU, told from the driver and from torch's build."""

from pathlib import Path

import pytest
import torch

from models.backends.torch import devices

VERSION = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024
GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)
"""
OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@b)\n"
)


@pytest.fixture
def driver_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which the driver tells its version; there is none yet."""
    monkeypatch.setattr(devices, "_DRIVER_FILE", tmp_path / "version")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    return tmp_path / "version"


def test_the_driver_is_read_from_either_kernel_module(driver_file: Path) -> None:
    assert devices.driver() is None
    driver_file.write_text(VERSION)
    assert devices.driver() == "535.183.01"
    driver_file.write_text(OPEN)
    assert devices.driver() == "580.65.06"


@pytest.mark.parametrize(
    ("driver", "cuda", "words"),
    [
        (None, "13.0", ("CUDA 13.0", "580", "no NVIDIA driver", "--gpus all")),
        (VERSION, "13.0", ("580 or later", "the driver is 535.183.01: update it")),
        (VERSION, "12.8", ("525 or later", "CUDA_VISIBLE_DEVICES")),
        (OPEN, "13.0", ("the driver is 580.65.06", "CUDA_VISIBLE_DEVICES")),
        (OPEN, "99.1", ("CUDA 99.1", "CUDA_VISIBLE_DEVICES")),
        (OPEN, None, ("built without CUDA",)),
    ],
)
def test_the_reason_names_driver_build_and_remedy(
    driver: str | None,
    cuda: str | None,
    words: tuple[str, ...],
    driver_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if driver is not None:
        driver_file.write_text(driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    reason = devices.why_no_gpu()
    assert torch.__version__ in reason
    assert all(word in reason for word in words), reason


def test_the_processor_is_described_with_torch() -> None:
    assert devices.describe("cpu") == f"cpu, torch {torch.__version__}"


def test_tf32_is_allowed_for_matrix_products_and_convolutions() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        devices.allow_tf32()
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision(before)
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("device", "count", "idle"), [("cuda:0", 8, 7), ("cuda:0", 1, 0), ("cpu", 8, 0)]
)
def test_the_gpus_that_are_not_used_are_counted(
    monkeypatch: pytest.MonkeyPatch, device: str, count: int, idle: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert devices.idle_gpus(device) == idle

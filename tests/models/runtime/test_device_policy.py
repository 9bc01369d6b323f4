"""The choice of a device, without torch: its functions are replaced by ones that tell of other machines."""

from types import SimpleNamespace
from typing import Any

import pytest

from models.catalog.profile import load_profile
from models.errors import UnknownDeviceError
from models.runtime import device_policy
from models.runtime.device_policy import GRAPHS_MB, DevicePolicy

REASON = "the driver is 535.1: update it"


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the process a torch that sees no GPU."""
    devices = SimpleNamespace(
        resolve=lambda name: "cpu" if name == "auto" else name,
        why_no_gpu=lambda: REASON,
        bound_threads=lambda threads: None,
        allow_tf32=lambda: pytest.fail("TF32 is for GPUs"),
        free_mb=lambda device: 1000,
        describe=lambda device: f"{device}, torch 2",
        idle_gpus=lambda device: 0,
    )
    monkeypatch.setattr(device_policy, "_devices", lambda: devices)


@pytest.mark.usefixtures("without_gpu")
def test_a_profile_that_needs_a_gpu_does_not_fall_to_the_processor() -> None:
    with pytest.raises(UnknownDeviceError) as caught:
        DevicePolicy.choose(torch=True, threads=1, needs_gpu=True)
    assert REASON in str(caught.value)
    assert "RETOUCH_DEVICE=cpu" in str(caught.value)


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize("choice", [{"device": "cpu", "needs_gpu": True}, {"needs_gpu": False}])
def test_the_processor_is_used_if_it_is_named_or_suffices(choice: dict[str, Any]) -> None:
    policy = DevicePolicy.choose(torch=True, threads=1, **choice)
    assert (policy.device, policy.memory_mb, policy.description) == ("cpu", 800, "cpu, torch 2")


@pytest.mark.parametrize(
    ("profile", "needs"),
    [("lite", 0), ("cpu", 0), ("tiny", 0), ("sdxl", 1), ("open", 1), ("studio", 1), ("bria", 1)],
)
def test_the_profiles_for_gpus_need_one(profile: str, needs: bool) -> None:
    assert any(card.needs_gpu for card in load_profile(profile).values()) == needs


def test_a_gpu_computes_float32_by_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    devices = SimpleNamespace(
        resolve=lambda name: "cuda:0",
        allow_tf32=lambda: done.append("tf32"),
        free_mb=lambda device: 1000,
        describe=lambda device: device,
        idle_gpus=lambda device: 3,
    )
    monkeypatch.setattr(device_policy, "_devices", lambda: devices)
    policy = DevicePolicy.choose(torch=True, threads=1)
    assert (policy.device, policy.idle_gpus) == ("cuda:0", 3)
    assert done == ["tf32"]


@pytest.mark.parametrize(
    ("device", "choice", "graphs"),
    [
        ("cuda:0", {}, True),
        ("cuda:0", {"memory_mb": 9200}, True),
        ("cuda:0", {"offload": True}, False),
        ("cpu", {}, False),
        ("mps", {}, False),
    ],
)
def test_cuda_graphs_have_memory_of_their_own_where_there_are_any(
    monkeypatch: pytest.MonkeyPatch, device: str, choice: dict[str, Any], graphs: bool
) -> None:
    devices = SimpleNamespace(
        resolve=lambda name: device,
        bound_threads=lambda threads: None,
        allow_tf32=lambda: None,
        free_mb=lambda device: 10_000,
        describe=lambda device: device,
        idle_gpus=lambda device: 0,
    )
    monkeypatch.setattr(device_policy, "_devices", lambda: devices)
    without = DevicePolicy.choose(torch=True, threads=1, **choice)
    policy = DevicePolicy.choose(torch=True, threads=1, graphs=True, **choice)
    assert not without.graphs
    assert not without.device_config(True, "float16").graphs
    assert policy.graphs == graphs
    assert policy.device_config(True, "float16").graphs == graphs
    assert not policy.device_config(False, "float16").graphs
    assert without.memory_mb is not None
    assert policy.memory_mb == without.memory_mb - graphs * GRAPHS_MB

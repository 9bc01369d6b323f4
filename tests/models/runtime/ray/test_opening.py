"""The opening of an engine on the GPUs of one machine: what it asks for before it starts anything."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.errors import UnknownDeviceError
from models.runtime import device_policy
from models.runtime.ray import opening
from models.settings import DeploymentSettings


@pytest.fixture(autouse=True)
def _own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this process back its own variables at the end."""
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_worker_niceness"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))


def machine_without_gpu(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the process a torch that sees no GPU; return the profiles whose weights are fetched."""
    fetched: list[str] = []
    devices = SimpleNamespace(
        resolve=lambda name: "cpu" if name == "auto" else name, why_no_gpu=lambda: "no driver"
    )
    monkeypatch.setattr(device_policy, "_devices", lambda: devices)
    monkeypatch.setattr(opening, "fetch_for_start", lambda name, *_: fetched.append(name))
    return fetched


def test_a_profile_that_needs_a_gpu_is_refused_without_one_before_weights_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = machine_without_gpu(monkeypatch)
    with pytest.raises(UnknownDeviceError, match=r"a GPU\. no driver\. With RETOUCH_DEVICE=cpu"):
        opening.open_machine(DeploymentSettings(profile="open", data_dir=tmp_path))
    assert fetched == []
    opening.open_machine(DeploymentSettings(profile="open", data_dir=tmp_path, device="cpu"))
    assert fetched == ["open"]


def test_a_profile_without_torch_needs_no_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = machine_without_gpu(monkeypatch)
    monkeypatch.setattr(device_policy, "_devices", lambda: pytest.fail("torch was imported"))
    opening.open_machine(DeploymentSettings(data_dir=tmp_path))
    assert fetched == ["lite"]

"""The engine on the GPUs of one machine, without starting Ray: what it asks for, and what a failed start does."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import serve

from models.errors import EngineLostError, EngineUnavailableError
from models.roles import MATTING
from models.runtime.ray import machine
from models.runtime.ray.deployments import APPLICATION, Machine, build
from models.runtime.ray.machine import MachineEngine
from models.runtime.ray.plan import on_machine
from models.settings import DeploymentSettings


def test_where_ray_does_not_start_the_engine_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def init(address: str, **options: Any) -> None:
        asked.append({"address": address, **options})
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(machine, "usable_processors", lambda: 1)
    engine = MachineEngine(DeploymentSettings(data_dir=tmp_path))
    with pytest.raises(EngineLostError, match="timed out during startup"):
        engine.warm_up()
    (options,) = asked
    assert options["address"] == "local"
    assert options["num_cpus"] == len(
        on_machine("lite", engine._profile, 0)
    )  # one for each replica
    with pytest.raises(EngineUnavailableError, match="not started"):
        engine.call(MATTING, None)


@pytest.mark.parametrize(("main_memory_mb", "each"), [(9000, 3000), (0, 0), (None, 2048)])
def test_the_processes_share_what_evicted_models_may_take_of_main_memory(
    monkeypatch: pytest.MonkeyPatch, main_memory_mb: int | None, each: int
) -> None:
    monkeypatch.setattr(machine, "free_memory", lambda: 12 * 2**30)
    settings = DeploymentSettings(main_memory_mb=main_memory_mb)
    assert machine._evicted_mb(settings, 3) == each


def test_replicas_of_one_machine_have_its_limits_and_those_of_a_cluster_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    def note(roles: Any, ongoing: int, source: Any, replicas: Any, queue: int) -> int:
        made.append((source, replicas))
        return 0

    monkeypatch.setattr("models.runtime.ray.deployments._deployment", note)
    settings = DeploymentSettings(data_dir=tmp_path, memory_mb=500)
    build(settings)
    assert {(source.memory_mb, source.main_memory_mb) for source, _ in made} == {(None, 0)}
    made.clear()
    layout = on_machine("lite", MachineEngine(settings)._profile, 0)
    build(settings, machine=Machine(layout, evicted_mb=70))
    assert {(source.memory_mb, source.main_memory_mb) for source, _ in made} == {(500, 70)}
    assert [replicas for _, replicas in made] == list(layout.values())


@pytest.mark.parametrize(
    ("gpus", "rows", "device"),
    [
        (2, "[replicas.matting]\ngpus = 0.5\n", "2 GPUs of this machine, with a process for each"),
        (1, "[replicas.matting]\ngpus = 0.5\n", "1 GPU of this machine, with a process for each"),
        (0, "[replicas.matting]\ngpus = 0.5\n", None),
        (2, "", None),
    ],
)
def test_it_tells_only_of_gpus_that_models_run_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int, rows: str, device: str | None
) -> None:
    profile = tmp_path / "own.toml"
    profile.write_text(f'base = "lite"\n{rows}')
    deployed = SimpleNamespace(applications={APPLICATION: None})
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": float(gpus)})
    monkeypatch.setattr(serve, "start", lambda **_: None)
    monkeypatch.setattr(serve, "status", lambda: deployed)
    engine = MachineEngine(DeploymentSettings(profile=str(profile), data_dir=tmp_path))
    engine._connect()
    assert engine.model_states().device == device

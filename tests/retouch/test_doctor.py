"""The command `retouch doctor`: what it finds, its exit status, and that no secret is in its output."""

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from models.settings import known_names
from retouch.checks import machine, services
from retouch.checks.finding import Finding, State, ok, within_limit
from retouch.checks.run import unknown_names
from retouch.command import app
from retouch.secrets import Secrets
from server.settings import Settings
from storage.database import open_engine
from storage.records import Records
from storage.schema import downgrade
from tests.helpers.services import Postgres

Run = Callable[..., Result]
MARKS = [f"hunter{number}" for number in range(1, 10)]
NAMES = {"python", "processor", "memory", "settings", "disk", "gpu", "profile", "weights", "port"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `retouch doctor` on a new data folder and a free port."""
    for name in known_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("RETOUCH_PORT", "0")
    return lambda *words: CliRunner().invoke(app, ["doctor", *words])


def checks(result: Result) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(result.stdout)["checks"]}


def test_a_new_machine_is_well_and_nothing_is_made(run: Run, tmp_path: Path) -> None:
    result = run("--json")
    assert result.exit_code == 0, result.output
    found = checks(result)
    assert {*found} == NAMES | {"database", "folder", "clock"}
    assert json.loads(result.stdout)["ok"] is True
    assert found["weights"]["state"] == "warning"
    assert found["weights"]["bytes"] == 0
    assert found["weights"]["missing_bytes"] > 10_000_000
    assert "u2netp.onnx" in found["weights"]["missing"]
    assert not (tmp_path / "data").exists()
    table = run()
    assert table.exit_code == 0
    assert all(f" {name} " in table.stdout for name in found)


def test_weights_of_a_wrong_size_are_a_problem(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "weights"
    folder.mkdir(parents=True)
    (folder / "u2netp.onnx").write_bytes(b"half")
    result = run("--json")
    assert result.exit_code == 1
    assert checks(result)["weights"]["wrong"] == ["u2netp.onnx"]


def test_a_taken_port_is_a_problem(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("RETOUCH_PORT", str(taken.getsockname()[1]))
        monkeypatch.setattr(services, "_is_retouch", lambda number: False)
        result = run("--json")
    assert result.exit_code == 1
    assert "another program listens" in checks(result)["port"]["text"]
    monkeypatch.setattr(services, "listening_problem", lambda settings: "taken")
    monkeypatch.setattr(services, "_is_retouch", lambda number: True)
    assert services.port(Settings()).state is State.WARNING


def test_a_taken_second_port_is_a_problem_with_its_own_setting(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("RETOUCH_OPERATOR_PORT", str(taken.getsockname()[1]))
        result = run("--json")
    assert result.exit_code == 1
    assert "set RETOUCH_OPERATOR_PORT to another port" in checks(result)["port"]["text"]
    free = services.port(Settings(port=0, operator_port=0, operator_host="0.0.0.0"))
    assert free.state is State.OK
    assert "and 0.0.0.0 port 0 is free; it needs a token" in free.text


def test_invalid_settings_are_listed_and_the_machine_is_checked_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_WORKERS", "hunter1")
    monkeypatch.setenv("RETOUCH_PORTT", "1")
    result = run("--json")
    assert result.exit_code == 1
    text = checks(result)["settings"]["text"]
    assert "RETOUCH_WORKERS must be a whole number" in text
    assert "did you mean RETOUCH_PORT?" in text
    assert {"python", "memory", "clock"} <= {*checks(result)}
    monkeypatch.undo()
    monkeypatch.setenv("RETOUCH_PROFILE", "none")
    assert "no profile 'none'" in checks(run("--json"))["settings"]["text"]


def test_unknown_names_come_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RETOUCH_MAX_WAITING_TIME", "RETOUCH_PROFIL_NAME", "RETOUCH_PROFILE"):
        monkeypatch.setenv(name, "lite")
    near = {str(one.details["variable"]): one for one in unknown_names()}
    assert {*near} >= {"RETOUCH_MAX_WAITING_TIME", "RETOUCH_PROFIL_NAME"}
    assert "RETOUCH_PROFILE" not in near
    assert near["RETOUCH_MAX_WAITING_TIME"].text.endswith("nearest one is RETOUCH_MAX_WAITING")
    assert near["RETOUCH_PROFIL_NAME"].state is State.WARNING


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_no_secret_is_in_the_output(
    words: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "postgresql://user:hunter1@127.0.0.1:9/db?sslpassword=hunter2"
    for name, value in {
        "RETOUCH_DATABASE_URL": address,
        "RETOUCH_API_TOKENS": "a:hunter3,b:hunter4:x",
        "RETOUCH_FETCH_PROXY": "http://user:hunter5@127.0.0.1:9",
        "RETOUCH_STORE": "s3://bucket",
        "RETOUCH_S3_ENDPOINT": "http://user:hunter6@127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "hunter7",
        "AWS_SECRET_ACCESS_KEY": "hunter8",
        "HF_TOKEN": "hunter9",
        "RETOUCH_hunter9": "1",
        "RETOUCH_AUDIT_LOG": "/x/hunter3",
        "RETOUCH_DATA_DIR": "/proc/hunter8",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("storage.s3.S3Objects.check", _refuse)
    result = run(*words)
    assert result.exit_code == 1
    assert "***" in result.stdout
    assert [mark for mark in MARKS if mark in result.output.replace("\n", "")] == []


def _refuse(_: object) -> None:
    raise OSError("http://user:hunter6@127.0.0.1:9/bucket?X-Amz-Signature=hunter8 is gone")


def test_secrets_are_found_in_addresses_pairs_and_names() -> None:
    secrets = Secrets({"A": "x://me:p%40ss@h/d?password=qq77", "MY_TOKEN": "org:t:o:k, b:other"})
    text = "p%40ss p@ss t:o:k other qq77 x://who:any@h y?token=zz&a=1 org"
    assert secrets.hide(text) == "*** *** *** *** *** x://***@h y?token=***&a=1 org"


def test_a_check_that_hangs_or_fails_is_a_problem() -> None:
    forever = threading.Event()

    def hang() -> Finding:
        forever.wait()
        return ok("x", "")

    def fail() -> Finding:
        raise OSError("gone\nwith details")

    assert within_limit("x", hang, 0.05).text == "no answer within 0.05 s"
    forever.set()
    failed = within_limit("x", fail)
    assert (failed.state, failed.text) == (State.PROBLEM, "OSError: gone")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_database_tells_its_schema(
    kind: str, request: pytest.FixtureRequest, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "postgresql":
        server: Postgres = request.getfixturevalue("postgres")
        monkeypatch.setenv("RETOUCH_DATABASE_URL", server.database())
    settings = Settings()
    settings.data_dir.mkdir()
    Records(settings.records_url).close()
    assert services.database(settings).state is State.OK
    engine = open_engine(settings.records_url)
    downgrade(engine, "0007")
    engine.dispose()
    behind = services.database(settings)
    assert (behind.state, behind.details["schema"]) == (State.WARNING, "0007")
    if kind == "postgresql":
        monkeypatch.setattr(services.time, "time", lambda: 1.0)  # type: ignore[attr-defined]
        assert "its clock differs" in services.database(settings).text


def test_the_machine_is_read_from_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  1048576 kB\n")
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nflags\t\t: sse avx\n")
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")  # type: ignore[attr-defined]
    small = machine.memory(tmp_path)
    assert (small.state, small.details["bytes"]) == (State.WARNING, 2**30)
    old = machine.processor(tmp_path)
    assert (old.state, old.details["flags"]) == (State.WARNING, ["avx"])
    (tmp_path / "proc/cpuinfo").write_text("flags : avx avx2 fma\n")
    assert machine.processor(tmp_path).state is State.OK
    assert machine.fitting_profile([], "cpu", tmp_path).state is State.WARNING
    big = [{"name": "H", "memory_mb": 81_559, "driver": "1"}]
    assert machine.fitting_profile(big, "open", tmp_path).details["fitting"][-1] == "studio"
    middle = [{"name": "R", "memory_mb": 24_564, "driver": "1"}]
    found = machine.fitting_profile(middle, "studio", tmp_path)
    assert found.state is State.WARNING
    assert found.details["fitting"][-3:] == ["sdxl", "open", "bria"]


def test_the_gpu_is_read_from_the_tool_of_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559, 570.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = machine.gpus()
    assert found == [{"name": "NVIDIA H100", "memory_mb": 81559, "driver": "570.1"}]
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    assert machine.gpu(found, "lite", "auto").state is State.OK
    assert machine.gpu(found, "open", "auto").state is State.PROBLEM
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    monkeypatch.setattr(machine, "_torch", lambda: ("2.9", "12.8", 0))
    assert machine.gpu(found, "open", "auto").state is State.PROBLEM
    assert machine.gpu(found, "lite", "auto").state is State.WARNING
    assert machine.gpu([], "open", "auto").state is State.PROBLEM
    assert machine.gpu([], "open", "cpu").state is State.WARNING
    assert machine.gpu([], "tiny", "auto").state is State.OK
    monkeypatch.setattr(machine, "_torch", lambda: ("2.9", "12.8", 4))
    idle = machine.gpu(found, "open", "auto")
    assert idle.state is State.WARNING
    assert "uses one of them; with RETOUCH_ENGINE=ray it uses all" in idle.text
    assert machine.gpu(found, "open", "auto", "ray").state is State.OK
    assert machine.gpu(found, "lite", "auto").state is State.OK
    monkeypatch.setattr(machine, "_torch", lambda: ("2.9", "12.8", 1))
    assert machine.gpu(found, "open", "auto").state is State.OK
    monkeypatch.setattr(machine, "_torch", lambda: None)
    assert machine.gpu(found, "lite", "auto").state is State.PROBLEM
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.gpus() == []


def test_a_clock_that_cannot_be_right_is_a_problem() -> None:
    assert machine.clock().state is State.OK
    assert machine.clock(0.0).state is State.PROBLEM
    assert machine.clock(2.0**33).state is State.PROBLEM

"""Settings from the environment: they mean the same in every program, and unknown names are reported."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.errors import InvalidSettingsError
from models.runtime.ray import deployments
from models.settings import (
    SERVER_NAMES,
    TOOL_NAMES,
    DeploymentSettings,
    EnvironmentSettings,
    ModelSettings,
    known_names,
    read_settings,
    warn_of_unknown_names,
)
from retouch.command import app
from server.settings import Settings
from tests.helpers.places import ROOT

PROGRAMS = {
    "server.__main__": [],
    "retouch.deploy_models": ["deploy-models"],
    "retouch.weights": ["weights", "verify"],
}
"""Every module that reads settings, with the words of its command; none for the server's `main`."""
TRUE = ["y", "Y", "yes", "t", "true", "True", "TRUE", "1", "on", " true ", "y\r", "1\r\n"]
FALSE = ["n", "no", "f", "false", "False", "0", "off", "", " ", "\t", "\r", "\r\n", "off\r"]


class HasReadError(Exception):
    """Stops a program after it has read its settings."""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in known_names():
        monkeypatch.delenv(name, raising=False)


def start(program: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a program until it has read its settings; return them, or its exit status if it ends before."""
    module = importlib.import_module(program)
    found: list[EnvironmentSettings] = []

    def read(kind: type[EnvironmentSettings], **chosen: Any) -> EnvironmentSettings:
        found.append(read_settings(kind, **chosen))
        raise HasReadError

    monkeypatch.setattr(module, "read_settings", read)
    try:
        words = PROGRAMS[program]
        return app(words, standalone_mode=False) if words else module.main()
    except HasReadError:
        return found[0]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("text", "meant"), [(text, True) for text in TRUE] + [(text, False) for text in FALSE]
)
def test_a_boolean_text_means_the_same_in_every_program(
    program: str, text: str, meant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_OFFLOAD", text)
    assert start(program, monkeypatch).offload is meant


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("text", ["maybe", "2", "-1", "tru", "hunter2"])
def test_an_invalid_boolean_stops_every_program(
    program: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETOUCH_OFFLOAD", text)
    assert start(program, monkeypatch) == 2
    message = capsys.readouterr().err
    assert message.startswith("settings: RETOUCH_OFFLOAD ")
    assert text not in message.split()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("blank", ["", " ", "\t", "\r", " \r\n"])
def test_a_blank_setting_counts_as_unset_in_every_program(
    program: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = start(program, monkeypatch)
    for name in known_names():
        monkeypatch.setenv(name, blank)
    assert start(program, monkeypatch) == unset


@pytest.mark.parametrize("program", PROGRAMS)
def test_whitespace_around_a_value_is_stripped(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_PROFILE", " open\r")
    monkeypatch.setenv("RETOUCH_DATA_DIR", "\t/some where \r\n")
    monkeypatch.setenv("RETOUCH_MODELS_DIR", "/copies\r")
    monkeypatch.setenv("RETOUCH_DTYPE", "float16\r")
    settings = start(program, monkeypatch)
    assert settings.profile == "open"
    assert settings.data_dir == Path("/some where")
    assert settings.weights_dir == Path("/some where/weights")
    assert settings.models_dir == Path("/copies")
    assert settings.dtype == "float16"


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("RETOUCH_PORTT", "RETOUCH_PORT"),
        ("RETOUCH_POR", "RETOUCH_PORT"),
        ("RETOUCH_PROT", "RETOUCH_PORT"),
        ("RETOUCH_PART", "RETOUCH_PORT"),
        ("RETOUCH_HSOT", "RETOUCH_HOST"),
        ("RETOUCH_OFLOAD", "RETOUCH_OFFLOAD"),
        ("RETOUCH_MODEL_DIR", "RETOUCH_MODELS_DIR"),
        ("RETOUCH_APITOKENS", "RETOUCH_API_TOKENS"),
        ("RETOUCH_GPU_MEMORY_GB", "RETOUCH_GPU_MEMORY_MB"),
        ("RETOUCH_XS3_REGION", "RETOUCH_S3_REGION"),
        ("retouch_portt", "RETOUCH_PORT"),
        ("RETOUHC_PORT", "RETOUCH_PORT"),
        ("RETOUCHPORT", "RETOUCH_PORT"),
    ],
)
def test_a_misspelled_name_stops_every_program_and_the_right_one_is_suggested(
    program: str,
    wrong: str,
    right: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(wrong, "hunter2")
    assert start(program, monkeypatch) == 2
    assert capsys.readouterr().err == f"settings: {wrong} is not a setting; did you mean {right}?\n"


def test_all_errors_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETOUCH_PORTT", "1")
    monkeypatch.setenv("RETOUCH_DTYPE", "hunter2")
    with pytest.raises(InvalidSettingsError) as error:
        read_settings(ModelSettings)
    misspelled, unreadable = str(error.value).splitlines()
    assert misspelled.startswith("settings: RETOUCH_PORTT ")
    assert unreadable.startswith("settings: RETOUCH_DTYPE ")
    assert "hunter2" not in f"{error.value} {error.value!r}"


@pytest.mark.parametrize(
    "name", ["RETOUCH_PTRO", "RETOUCH_TOKENS", "RETOUCH_PORTXX", "RETOUCH_PO", "RETOUCH_"]
)
def test_an_unknown_name_is_warned_of_without_its_value(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "hunter2")
    assert read_settings(Settings) == Settings()
    warn_of_unknown_names()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert name in record.getMessage()
    assert "hunter2" not in record.getMessage()


def test_a_program_without_a_log_warns_on_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_COLOUR", "hunter2")
    monkeypatch.setenv("RETOUCH_DATA_DIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "retouch", "weights", "list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "settings: RETOUCH_COLOUR is not a setting and has no effect\n"


def _service(name: str, protocol: str = "tcp") -> dict[str, str]:
    """Return the variables that Kubernetes sets for a Service with one named port, 80."""
    address = f"{protocol}://10.0.0.1:80"
    port = f"{name}_PORT_80_{protocol.upper()}"
    return {
        f"{name}_SERVICE_HOST": "10.0.0.1",
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_HTTP": "80",
        f"{name}_PORT": address,
        port: address,
        f"{port}_PROTO": protocol,
        f"{port}_PORT": "80",
        f"{port}_ADDR": "10.0.0.1",
    }


@pytest.mark.parametrize("protocol", ["tcp", "udp", "sctp"])
@pytest.mark.parametrize(
    "name",
    ["RETOUCH", "RETOUCH_API", "RETOUCH_MODELS_HEAD_SVC", "RETOUCH_S3", "RETOUCH_DATA_DIR"],
)
def test_the_variables_of_a_kubernetes_service_are_ignored(
    name: str,
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    unset = Settings()
    for variable, value in _service(name, protocol).items():
        monkeypatch.setenv(variable, value)
    assert read_settings(Settings) == unset
    warn_of_unknown_names()
    assert not caplog.records


def test_the_settings_of_our_own_programs_are_never_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in TOOL_NAMES:
        monkeypatch.setenv(f"RETOUCH_{name}", "1")
    monkeypatch.setenv("RETOUCH_GPU_MEMORY_MB", "1000")
    read_settings(Settings)
    warn_of_unknown_names()
    assert not caplog.records


def test_every_name_that_our_files_read_is_known() -> None:
    # ${NAME}, $NAME, environ.get("NAME"), environ["NAME"], environment.get("NAME") and getenv("NAME").
    read = re.compile(
        r"""\$\{?(RETOUCH_[A-Z0-9_]+)|(?:(?:environ|environment)(?:\.get)?|getenv)[\[(]["'](RETOUCH_[A-Z0-9_]+)"""
    )
    folders = [
        "scripts",
        "deploy",
        "tests",
        "retouch",
        "server",
        "pipelines",
        "models",
        "imaging",
        "storage",
    ]
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    files += [*ROOT.glob("Dockerfile"), *ROOT.glob("docker-compose*.yml"), ROOT / ".ci" / "run"]
    found = set()
    for file in files:
        if file.is_file() and file.suffix in ("", ".py", ".yml", ".yaml", ".sh"):
            found |= {one or other for one, other in read.findall(file.read_text())}
    assert {"RETOUCH_PYTHON", "RETOUCH_TEST_GPU", "RETOUCH_CONTRACT_URL"} <= found
    assert found <= known_names()


def test_the_names_of_the_server_match_its_settings() -> None:
    names = {name.upper() for name in Settings.model_fields}
    assert names - {name.upper() for name in DeploymentSettings.model_fields} == SERVER_NAMES


def test_settings_of_both_server_and_cluster_are_the_same() -> None:
    both = Settings.model_fields.keys() & DeploymentSettings.model_fields.keys()
    assert {"profile", "offload", "max_waiting", "ray_address"} <= both
    for name in both:
        one, other = Settings.model_fields[name], DeploymentSettings.model_fields[name]
        assert one.annotation == other.annotation, name
        assert (one.default, one.metadata) == (other.default, other.metadata), name


def test_arguments_of_the_cluster_application_override_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RETOUCH_OFFLOAD", "y")
    monkeypatch.setenv("RETOUCH_DTYPE", "float16")
    monkeypatch.setenv("RETOUCH_DATA_DIR", "/from/environment")
    monkeypatch.setenv("RETOUCH_MODELS_DIR", "/copies")
    monkeypatch.setenv("RETOUCH_MAX_WAITING", "9")
    source, queue = _deployed({})
    assert (source.offload, source.dtype, source.models_dir) == (True, "float16", "/copies")
    assert (source.profile, source.weights_dir) == ("lite", "/from/environment/weights")
    assert queue == 9
    arguments = {"offload": "n", "models_dir": None, "weights_dir": "/given", "queue": 7}
    source, queue = _deployed({**arguments, "dtype": ""})
    assert (source.offload, source.dtype, source.models_dir) == (False, "float16", None)
    assert (source.weights_dir, queue) == ("/given", 7)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"memory_mb": 5}, "no such argument: memory_mb"),
        ({"max_waiting": 5}, "no such argument: max_waiting"),
        ({"offload": "maybe"}, "RETOUCH_OFFLOAD"),
        ({"gpu_memory_mb": "much"}, "RETOUCH_GPU_MEMORY_MB"),
        ({"queue": 0}, "RETOUCH_MAX_WAITING"),
    ],
)
def test_the_cluster_application_refuses_invalid_arguments(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        deployments.application(arguments)


def _deployed(arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model source and the longest queue of one role of the application."""
    front = deployments.application(arguments)._bound_deployment
    role = front.init_kwargs["matting"]._bound_deployment
    return role.init_args[0], role._deployment_config.max_queued_requests

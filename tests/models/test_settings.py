"""Settings read from the environment: one meaning in every program."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from models.runtime.ray import deployments
from models.settings import (
    DeploymentSettings,
    EnvironmentSettings,
    read_settings,
)
from server.settings import Settings

NAMES = [
    f"RETOUCH_{name.upper()}"
    for kind in (Settings, DeploymentSettings)
    for name in kind.model_fields
]
PROGRAMS = {
    "server.__main__": [],
    "models.runtime.ray.deploy": [[]],
    "models.weights.cli": [["verify"]],
}
"""Every program that reads settings, with what its `main` is called with."""
TRUE = ["y", "Y", "yes", "t", "true", "True", "TRUE", "1", "on", " true ", "y\r", "1\r\n"]
FALSE = ["n", "no", "f", "false", "False", "0", "off", "", " ", "\t", "\r", "\r\n", "off\r"]


class HasReadError(Exception):
    """Ends a program once its settings are read."""


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def start(program: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a program until it has read its settings; return them, or its exit status if it ends first."""
    module = importlib.import_module(program)
    found: list[EnvironmentSettings] = []

    def read(kind: type[EnvironmentSettings], **chosen: Any) -> EnvironmentSettings:
        found.append(read_settings(kind, **chosen))
        raise HasReadError

    monkeypatch.setattr(module, "read_settings", read)
    try:
        return module.main(*PROGRAMS[program])
    except HasReadError:
        return found[0]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("text", "meant"), [(text, True) for text in TRUE] + [(text, False) for text in FALSE]
)
def test_a_text_is_the_same_truth_in_every_program(
    program: str, text: str, meant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_OFFLOAD", text)
    assert start(program, monkeypatch).offload is meant


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("text", ["maybe", "2", "-1", "tru", "hunter2"])
def test_what_is_no_truth_ends_every_program(
    program: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RETOUCH_OFFLOAD", text)
    assert start(program, monkeypatch) == 2
    told = capsys.readouterr().err
    assert told.startswith("settings: RETOUCH_OFFLOAD ")
    assert text not in told.split()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("blank", ["", " ", "\t", "\r", " \r\n"])
def test_a_setting_that_is_blank_is_an_unset_one_in_every_program(
    program: str, blank: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unset = start(program, monkeypatch)
    for name in NAMES:
        monkeypatch.setenv(name, blank)
    assert start(program, monkeypatch) == unset


@pytest.mark.parametrize("program", PROGRAMS)
def test_whitespace_around_a_value_is_dropped(
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


def test_what_server_and_cluster_both_read_is_one_setting() -> None:
    both = Settings.model_fields.keys() & DeploymentSettings.model_fields.keys()
    assert {"profile", "offload", "max_waiting", "ray_address"} <= both
    for name in both:
        one, other = Settings.model_fields[name], DeploymentSettings.model_fields[name]
        assert one.annotation == other.annotation, name
        assert (one.default, one.metadata) == (other.default, other.metadata), name


def test_the_application_of_the_cluster_takes_arguments_before_the_environment(
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
def test_the_application_of_the_cluster_refuses_what_it_cannot_read(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        deployments.application(arguments)


def _deployed(arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Return the model source and the longest queue of one role of the application."""
    front = deployments.application(arguments)._bound_deployment
    role = front.init_kwargs["matting"]._bound_deployment
    return role.init_args[0], role._deployment_config.max_queued_requests

"""The compose files: valid, pinned, without root, health checks before use, time for the shutdown."""

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deploy.files import COMPOSE, COMPOSE_GPU, OBSERVE, read, seconds

SERVICES: dict[str, dict[str, Any]] = read(COMPOSE)["services"]
ADDED = {n: s for n, s in read(COMPOSE_GPU)["services"].items() if n not in SERVICES}
ALL = SERVICES | ADDED
ONE_SHOT = {name for name, service in ALL.items() if service.get("restart") == "no"}


@pytest.mark.parametrize("path", [COMPOSE, COMPOSE_GPU])
def test_files_are_valid_by_the_schema_of_compose(path: Path) -> None:
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((vendored / "compose-spec.json").read_text())
    jsonschema.validate(read(path), schema)


@pytest.mark.parametrize("name", ALL)
def test_images_are_pinned(name: str) -> None:
    image = ALL[name]["image"]
    built = "build" in ALL[name]
    assert re.fullmatch(r"[\w/-]+:v?\d+[\w.-]*" + ("" if built else "@sha256:[0-9a-f]{64}"), image)


@pytest.mark.parametrize("name", ALL)
def test_services_have_minimal_privileges(name: str) -> None:
    service = ALL[name]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT - {"api"}))
def test_services_have_health_checks(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_dependencies_must_be_healthy_or_completed() -> None:
    for service in [*ALL.values(), read(COMPOSE_GPU)["services"]["api"]]:
        for name, how in service.get("depends_on", {}).items():
            done = "service_completed_successfully"
            assert how["condition"] == (done if name in ONE_SHOT else "service_healthy")


def test_ports_are_published_only_on_loopback() -> None:
    published = [port for service in ALL.values() for port in service.get("ports", ())]
    api, store = "127.0.0.1:8000:8000", "127.0.0.1:8333:8333"
    assert published == [api, store, "127.0.0.1:9090:9090", "127.0.0.1:3000:3000"]


def test_only_the_profile_observe_starts_what_watches() -> None:
    profiles = {name: service["profiles"] for name, service in ALL.items() if "profiles" in service}
    assert profiles == {"prometheus": ["observe"], "grafana": ["observe"]}


def test_prometheus_reads_the_port_of_the_operators() -> None:
    environment = SERVICES["api"]["environment"]
    (job,) = read(OBSERVE / "prometheus.yml")["scrape_configs"]
    (targets,) = job["static_configs"]
    assert targets["targets"] == [f"api:{environment['RETOUCH_OPERATOR_PORT']}"]
    assert environment["RETOUCH_OPERATOR_HOST"] == "0.0.0.0"
    published = [port.rpartition(":")[2] for port in SERVICES["api"]["ports"]]
    assert environment["RETOUCH_OPERATOR_PORT"] not in published
    assert SERVICES["prometheus"]["networks"] == ["observe"]
    assert "observe" in SERVICES["api"]["networks"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_files_that_are_mounted_exist(name: str) -> None:
    mounted = [volume for volume in SERVICES[name]["volumes"] if volume.startswith("./")]
    assert mounted
    for volume in mounted:
        assert (COMPOSE.parent / volume.split(":")[0]).is_file()
        assert volume.endswith(":ro")


def test_no_secret_has_a_default() -> None:
    for path in (COMPOSE, COMPOSE_GPU):
        used = re.findall(r"\$\{(\w*(?:TOKENS|PASSWORD|KEY)\w*)([^}]*)\}", path.read_text())
        assert all(rest.startswith(":?") for _, rest in used)
    text = COMPOSE.read_text()
    assert len(re.findall(r"(?:PASSWORD|SECRET_ACCESS_KEY|API_TOKENS): \$\{", text)) >= 4


def test_the_server_has_time_to_shut_down() -> None:
    environment = SERVICES["api"]["environment"]
    drain, grace = float(environment["RETOUCH_DRAIN_S"]), float(environment["RETOUCH_GRACE_S"])
    assert seconds(SERVICES["api"]["stop_grace_period"]) >= grace + 5
    assert grace >= 2 * drain


def test_the_gpu_override_changes_existing_settings() -> None:
    services = read(COMPOSE_GPU)["services"]
    assert SERVICES.keys() & services.keys() == {"api"}
    assert services["api"]["build"]["target"] == "cuda"
    device = services["api"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert device["capabilities"] == ["gpu"]

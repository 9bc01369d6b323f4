"""The limits of compose and Kubernetes: every service has them, and the server's memory fits its workers."""

import math
import re
from typing import Any

import pytest

from imaging.files.header import Probe
from server.cost import estimate
from server.http.uploads import Encoded
from server.operations import OPERATIONS
from server.settings import Settings
from tests.deploy.files import COMPOSE, COMPOSE_GPU, pod_specs, read
from tests.helpers.places import ROOT

SERVICES: dict[str, dict[str, Any]] = read(COMPOSE)["services"]
GPU: dict[str, dict[str, Any]] = read(COMPOSE_GPU)["services"]
PODS = dict(pod_specs())
PAGE = (ROOT / "docs" / "sizing.md").read_text()
_UNITS: dict[str, float] = {"k": 1 / 1024, "m": 1, "g": 1024, "Ki": 1 / 1024, "Mi": 1, "Gi": 1024}


def default(value: Any) -> str:
    """Return the value of a setting of compose, its variable replaced by the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))


def mebibytes(text: Any) -> float:
    """Return an amount of memory in the notation of compose or Kubernetes, in MiB."""
    match = re.fullmatch(r"([\d.]+)([kmg]|[KMG]i)", default(text))
    assert match, text
    return float(match[1]) * _UNITS[match[2]]


def rule(name: str) -> int:
    """Return a figure of the rule in the documentation, in MiB."""
    match = re.search(rf"^\| {re.escape(name)} \| ([\d,]+) MiB", PAGE, re.MULTILINE)
    assert match, name
    return int(match[1].replace(",", ""))


def needed(workers: int, **more: float) -> float:
    """Return the memory of a server by the rule, in MiB."""
    defaults = Settings.model_fields
    waiting: int = defaults["max_waiting"].default * defaults["max_body_mb"].default
    return rule("the process") + workers * rule("each worker") + waiting + sum(more.values())


def limits(service: dict[str, Any]) -> dict[str, Any]:
    """Return the limits of a service of compose."""
    found: dict[str, Any] = service["deploy"]["resources"]["limits"]
    return found


def tmpfs(service: dict[str, Any]) -> float:
    """Return the memory that the temporary file systems of a service may take, in MiB."""
    sizes = [re.search(r"size=(\w+)", mount) for mount in service.get("tmpfs", ())]
    assert all(sizes), "a tmpfs without a size may take half of the machine's memory"
    return sum(mebibytes(size[1]) for size in sizes if size)


@pytest.mark.parametrize(
    ("name", "service"),
    [*SERVICES.items(), *((f"{name} with a GPU", service) for name, service in GPU.items())],
)
def test_every_service_has_limits_for_processors_memory_and_threads(
    name: str, service: dict[str, Any]
) -> None:
    found = limits(service)
    assert float(default(found["cpus"])) > 0
    assert mebibytes(found["memory"]) > tmpfs(service)
    assert int(found["pids"]) >= 64


@pytest.mark.parametrize("name", ["api", "postgres", "seaweedfs"])
def test_the_limits_that_depend_on_the_machine_are_variables(name: str) -> None:
    found = limits(SERVICES[name])
    for key in ("cpus", "memory"):
        variable = re.match(r"\$\{(\w+):-", str(found[key]))
        assert variable, (name, key)
        assert f"#{variable[1]}={default(found[key])}" in (ROOT / ".env.example").read_text()


def test_the_memory_of_compose_fits_one_worker_for_each_processor() -> None:
    service = SERVICES["api"]
    assert "RETOUCH_WORKERS" not in service["environment"]  # so the limit of processors decides
    workers = math.ceil(float(default(limits(service)["cpus"])))
    assert mebibytes(limits(service)["memory"]) >= needed(workers, tmp=tmpfs(service))


def test_the_memory_of_compose_with_a_gpu_fits_its_workers() -> None:
    service = GPU["api"]
    workers = int(default(service["environment"]["RETOUCH_WORKERS"]))
    torch = rule("torch and the weights on their way to the GPU")
    memory = mebibytes(limits(service)["memory"])
    assert memory >= needed(workers, tmp=tmpfs(SERVICES["api"]), torch=torch)


def test_the_memory_of_a_pod_fits_its_workers() -> None:
    spec = PODS["api.yaml Deployment"]
    (container,) = spec["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    volumes = [volume.get("emptyDir", {}) for volume in spec["volumes"]]
    shared = sum(mebibytes(v["sizeLimit"]) for v in volumes if v.get("medium") == "Memory")
    workers = int(environment["RETOUCH_WORKERS"])
    memory = mebibytes(container["resources"]["limits"]["memory"])
    assert memory >= needed(workers, shared=shared, node=rule("the Ray node of a Pod"))
    assert mebibytes(container["resources"]["requests"]["memory"]) <= memory
    # The Ray node is in the Pod's limit too, and the server cannot see it.
    assert int(environment["RETOUCH_REQUEST_MEMORY_MB"]) == workers * rule("each worker")


@pytest.mark.parametrize(
    ("name", "key"),
    [("background/remove",) * 2, ("crop",) * 2, ("image_to_psd", "{visual_id}/image_to_psd")],
)
def test_the_page_has_the_estimates_of_requests(name: str, key: str) -> None:
    row = re.search(rf"^\| {re.escape(name)} \|(( [\d,]+ \|){{4}})$", PAGE, re.MULTILINE)
    assert row, name
    told = [int(figure.replace(",", "")) for figure in re.findall(r"[\d,]+", row[1])]
    operation = next(one for one in OPERATIONS if one.key == f"/{key}")
    for side, figure in zip((1000, 3464, 5000, 8192), told, strict=True):
        image = Encoded(b"", Probe("JPEG", side, side, "RGB", animated=False, alpha=False))
        cost = estimate(operation, operation.body(), {"image": image})
        assert round(cost.memory / 2**20) == figure


def test_the_memory_of_postgresql_fits_its_buffers_and_connections() -> None:
    service = SERVICES["postgres"]
    buffers = re.search(r"shared_buffers=(\d+)MB", " ".join(service["command"]))
    assert buffers
    connections = 30 * 10  # of one server: twice storage.database's pool, DBOS's, and the lease
    shared = float(str(service["shm_size"]).removesuffix("mb"))
    needed_mb = float(buffers[1]) + connections + shared + tmpfs(service)
    assert mebibytes(limits(service)["memory"]) >= needed_mb


def test_every_container_of_kubernetes_has_a_memory_limit_above_its_request() -> None:
    assert len(PODS) == 4
    for spec in PODS.values():
        for container in spec["containers"]:
            found = container["resources"]
            assert mebibytes(found["requests"]["memory"]) <= mebibytes(found["limits"]["memory"])

"""The Kubernetes manifests: valid, pinned, without root, with probes, grace periods and network policies."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from ray.serve.schema import ServeDeploySchema

from models.runtime.ray.deployments import APPLICATION
from tests.deploy.files import MANIFESTS, documents, pod_specs, read
from tests.helpers.places import ROOT

FOLDER = ROOT / "deploy"
PODS = dict(pod_specs())
SERVICE = read(FOLDER / "rayservice.yaml")
OBJECTS = {
    (d["kind"], d["metadata"]["name"]): d
    for p in MANIFESTS
    for d in documents(p)
    if "metadata" in d
}
API = OBJECTS["Deployment", "retouch-api"]["spec"]["template"]["spec"]
ENVIRONMENT = {entry["name"]: entry.get("value") for entry in API["containers"][0]["env"]}


def _known() -> list[Any]:
    return [d for d in OBJECTS.values() if not d["apiVersion"].startswith(("ray.io", "kustomize"))]


@pytest.mark.parametrize("document", _known(), ids=lambda d: f"{d['kind']} {d['metadata']['name']}")
def test_objects_are_valid(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_in_rayservice_are_valid(name: str) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any"},
        "spec": PODS[name],
    }
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("name", PODS)
def test_pods_run_without_root_and_with_minimal_privileges(name: str) -> None:
    spec = PODS[name]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    # Otherwise a Service named retouch-... would set variables that look like settings.
    assert spec["enableServiceLinks"] is False
    assert spec["automountServiceAccountToken"] is ("head" in str(spec["containers"][0]["name"]))
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert re.fullmatch(r"[\w.-]+/[\w/-]+:\d+\.\d+\.\d+", container["image"])


def test_all_pods_run_the_image_that_kustomize_sets() -> None:
    images = {container["image"] for spec in PODS.values() for container in spec["containers"]}
    (named,) = read(FOLDER / "kustomization.yaml")["images"]
    assert images == {f"{named['name']}:{named['newTag']}"}


def test_kustomize_includes_every_manifest_except_the_example_secret() -> None:
    resources = set(read(FOLDER / "kustomization.yaml")["resources"])
    excluded = {"kustomization.yaml", "secret.example.yaml"}
    assert resources == {path.name for path in MANIFESTS} - excluded


def test_kustomize_creates_the_namespace_of_everything_and_of_the_secrets() -> None:
    name = read(FOLDER / "kustomization.yaml")["namespace"]
    assert OBJECTS["Namespace", name]
    secrets = documents(FOLDER / "secret.example.yaml")
    assert {secret["metadata"]["namespace"] for secret in secrets} == {name}


def test_the_steps_of_the_documentation_work_on_a_fresh_cluster() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    steps = [
        "apply --filename deploy/namespace.yaml",
        'apply --filename "$HOME/retouch-secret.yaml"',
        "apply --kustomize deploy",
    ]
    places = [page.index(step) for step in steps]
    assert places == sorted(places), "each step needs the one before it"
    assert not re.search(r"kubectl rollout \w+ (?!--namespace retouch)", page)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_kubectl_puts_everything_into_the_namespace() -> None:
    command = ["kubectl", "kustomize", str(FOLDER)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    assert built[0]["kind"] == "Namespace"
    assert {document["metadata"].get("namespace") for document in built[1:]} == {"retouch"}


def test_the_example_secret_has_every_required_key_and_no_value() -> None:
    secrets = documents(FOLDER / "secret.example.yaml")
    assert {value for secret in secrets for value in secret["stringData"].values()} == {""}
    offered = {(s["metadata"]["name"], key) for s in secrets for key in s["stringData"]}
    containers = [c for spec in PODS.values() for c in spec["containers"]]
    required = {
        (ref["name"], ref["key"])
        for container in containers
        for entry in container["env"]
        if (ref := entry.get("valueFrom", {}).get("secretKeyRef"))
    }
    assert required == offered


def test_ray_serve_accepts_the_application() -> None:
    schema = ServeDeploySchema.model_validate(_serve_config())
    (application,) = schema.applications
    assert application.name == APPLICATION
    assert application.route_prefix is None


def test_the_application_and_the_servers_have_the_same_profile() -> None:
    (application,) = _serve_config()["applications"]
    assert application["args"]["profile"] == ENVIRONMENT["RETOUCH_PROFILE"]
    assert str(application["args"]["queue"]) == ENVIRONMENT["RETOUCH_MAX_WAITING"]


def test_the_version_of_ray_is_the_installed_one() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    (expected,) = map(Requirement, extras["cluster"])
    assert SERVICE["spec"]["rayClusterConfig"]["rayVersion"] in expected.specifier


def test_servers_join_the_cluster_with_its_token() -> None:
    assert ENVIRONMENT["RETOUCH_RAY_ADDRESS"] == f"{SERVICE['metadata']['name']}-head-svc:6379"
    cluster = SERVICE["spec"]["rayClusterConfig"]
    token = next(e for e in API["containers"][0]["env"] if e["name"] == "RAY_AUTH_TOKEN")
    assert cluster["authOptions"]["mode"] == ENVIRONMENT["RAY_AUTH_MODE"] == "token"
    assert token["valueFrom"]["secretKeyRef"]["name"] == cluster["authOptions"]["secretName"]


def test_the_head_runs_no_models() -> None:
    head = SERVICE["spec"]["rayClusterConfig"]["headGroupSpec"]["rayStartParams"]
    assert (head["num-cpus"], head["num-gpus"]) == ("0", "0")


def test_servers_have_time_to_drain_and_to_shut_down() -> None:
    drain, grace = float(ENVIRONMENT["RETOUCH_DRAIN_S"]), float(ENVIRONMENT["RETOUCH_GRACE_S"])
    probe = API["containers"][0]["readinessProbe"]
    assert API["terminationGracePeriodSeconds"] >= grace + 10
    assert drain >= probe["periodSeconds"] * probe["failureThreshold"]
    assert grace >= 2 * drain


def test_servers_have_liveness_and_readiness_probes() -> None:
    container = API["containers"][0]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_the_network_policy_of_ray_selects_every_pod_of_ray() -> None:
    label = OBJECTS["NetworkPolicy", "retouch-ray"]["spec"]["podSelector"]["matchLabels"]
    cluster = SERVICE["spec"]["rayClusterConfig"]
    templates = [cluster["headGroupSpec"]["template"]]
    templates += [group["template"] for group in cluster["workerGroupSpecs"]]
    templates.append(OBJECTS["Deployment", "retouch-api"]["spec"]["template"])
    for template in templates:
        assert label.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "HorizontalPodAutoscaler"])
def test_objects_for_the_servers_select_them(kind: str) -> None:
    spec = OBJECTS[kind, "retouch-api"]["spec"]
    template = OBJECTS["Deployment", "retouch-api"]["spec"]["template"]
    if kind == "HorizontalPodAutoscaler":
        assert spec["scaleTargetRef"]["name"] == "retouch-api"
        return
    selector = spec["selector"].get("matchLabels", spec["selector"])
    assert selector.items() <= template["metadata"]["labels"].items()


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: Path(path).name)
def test_no_manifest_has_a_moving_version(path: Path) -> None:
    assert ":latest" not in path.read_text()


def _serve_config() -> Any:
    return yaml.safe_load(SERVICE["spec"]["serveConfigV2"])

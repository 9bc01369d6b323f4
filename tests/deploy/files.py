"""Reads the files of Docker, compose and Kubernetes for tests."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.places import ROOT

DOCKERFILE = ROOT / "Dockerfile"
COMPOSE = ROOT / "docker-compose.yml"
COMPOSE_GPU = ROOT / "docker-compose.gpu.yml"
OBSERVE = ROOT / "deploy" / "observe"
MANIFESTS = sorted((ROOT / "deploy").glob("*.yaml"))


def read(path: Path) -> Any:
    """Return the content of a YAML file of one document."""
    return yaml.safe_load(path.read_text())


def documents(path: Path) -> list[dict[str, Any]]:
    """Return every document of a YAML file."""
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def instruction(name: str) -> list[str]:
    """Return the arguments of the Dockerfile's only CMD, or of its only HEALTHCHECK CMD."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    found = re.findall(rf"^{name} (.*)$", text, re.MULTILINE)
    assert len(found) == 1, f"{len(found)} of {name}"
    words: list[str] = json.loads(found[0][found[0].index("[") :])
    return words


def seconds(duration: str) -> float:
    """Return the seconds of a duration in the notation of compose: 40s, 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(
        float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", duration)
    )


def pod_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the specification of every kind of Pod, with a name for it."""
    for path in MANIFESTS:
        for document in documents(path):
            yield from _templates(f"{path.name} {document.get('kind')}", document)


def _templates(name: str, node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "template" in node:
            yield f"{name} {node.get('groupName', '')}".strip(), node["template"]["spec"]
        for value in node.values():
            yield from _templates(name, value)
    elif isinstance(node, list):
        for value in node:
            yield from _templates(name, value)

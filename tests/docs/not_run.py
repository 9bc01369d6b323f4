"""The commands of the pages that the tests record instead of running them, and what is checked of each."""

import json
import os
import re
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import yaml
from typer.testing import CliRunner

from models.catalog.profile import load_profile
from models.settings import DeploymentSettings, known_names, read_settings
from retouch.bundle import INSIDE
from retouch.command import app
from scripts import hardening
from scripts.benchmark_gpu import parser as benchmark_gpu_parser
from scripts.harden import _options as harden_options
from scripts.harden import attacks
from scripts.quality import _parser as quality_parser
from server.public_host import public_host_problem
from server.settings import Settings
from tests.deploy.files import documents, read
from tests.docs.checkout import Call
from tests.helpers.contributing_page import EXAMPLES
from tests.helpers.places import ROOT

Check = Callable[[Call, Path], None]
"""Raises if a command is wrong; the path is the checkout in which it was called."""

_BUNDLE = "retouch-lite.tar"
_WRITTEN = {"my-profile.toml"}.union(*EXAMPLES.values())
"""Files that a page lets its reader write before."""
_OBJECT = {"type": "object", "additionalProperties": False}
_LIFECYCLE = {
    **_OBJECT,
    "required": ["ID", "Status", "Filter"],
    "properties": {
        "ID": {"type": "string"},
        "Status": {"enum": ["Enabled", "Disabled"]},
        "Filter": {**_OBJECT, "properties": {"Prefix": {"type": "string"}}},
        "Expiration": {**_OBJECT, "properties": {"Days": {"type": "integer"}}},
        "AbortIncompleteMultipartUpload": {
            **_OBJECT,
            "properties": {"DaysAfterInitiation": {"type": "integer"}},
        },
    },
}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_CORS = {
    **_OBJECT,
    "required": ["AllowedOrigins", "AllowedMethods"],
    "properties": {
        "ID": {"type": "string"},
        "AllowedOrigins": _TEXTS,
        "AllowedMethods": {"items": {"enum": ["GET", "PUT", "POST", "DELETE", "HEAD"]}},
        "AllowedHeaders": _TEXTS,
        "ExposeHeaders": _TEXTS,
        "MaxAgeSeconds": {"type": "integer"},
    },
}
_BUCKET = {
    "put-bucket-lifecycle-configuration": ("lifecycle-configuration", "Rules", _LIFECYCLE),
    "put-bucket-cors": ("cors-configuration", "CORSRules", _CORS),
}
"""The option, the list and a rule of each command, from the reference of S3."""


def starts(call: Call, checkout: Path) -> None:
    """The settings are valid together, and the profile exists."""
    assert set(call.environment) <= known_names() | {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} | {
        "RAY_USAGE_STATS_ENABLED"
    }
    assert call.arguments == []
    with patch.dict(os.environ, call.environment):
        settings = read_settings(Settings)
    assert public_host_problem(settings) is None
    profile = settings.profile
    if profile.endswith(".toml"):
        assert profile in _WRITTEN, profile  # tests/docs/test_contributing.py loads it
    else:
        load_profile(profile)


def deploys(call: Call, checkout: Path) -> None:
    """The settings of the cluster are valid, and name its address and its token."""
    assert call.arguments == []
    assert {"RAY_AUTH_TOKEN", "RETOUCH_RAY_ADDRESS"} <= call.environment.keys()
    with patch.dict(os.environ, call.environment):
        load_profile(read_settings(DeploymentSettings).profile)


def tests(call: Call, checkout: Path) -> None:
    """The options are those of the scripts or of pytest, and the files and folders exist."""
    words = list(call.arguments)
    if words[:2] == ["-m", "pytest"]:
        words = words[2:]
    if "-m" in words:
        at = words.index("-m")
        assert re.search(rf'"{words[at + 1]}: ', (ROOT / "pyproject.toml").read_text())
        del words[at : at + 2]
    for word in words:
        if word.startswith("-"):
            assert word in ("--fast", "--renew-golden"), word
        else:
            assert (ROOT / word).exists() or word in _WRITTEN, word


def installs_hooks(call: Call, checkout: Path) -> None:
    """The hooks are valid YAML, and run what the scripts install."""
    assert call.arguments == ["install"]
    assert yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def takes_nothing(call: Call, checkout: Path) -> None:
    """It is called without arguments."""
    assert call.arguments == []


def moves_weights(call: Call, checkout: Path) -> None:
    """The profile exists, and is packed into an archive."""
    command, profile, *file = call.arguments
    load_profile(profile)
    assert [Path(one).suffix for one in file] == ([] if command == "fetch" else [".tar"])


def makes_bundle(call: Call, checkout: Path) -> None:
    """The profile exists, and the file is the one that is unpacked."""
    assert call.arguments == ["bundle", "--profile", "lite", "--output", _BUNDLE]
    load_profile("lite")


def installs_bundle(call: Call, checkout: Path) -> None:
    """The file is unpacked, the script in it called, and then what it has installed."""
    words = {"tar": ["-xf", _BUNDLE], f"./{INSIDE}/install": ["installed"]}
    assert call.arguments == words.get(call.name, ["doctor"])


def runs_the_wheel(call: Call, checkout: Path) -> None:
    """The wheel has the version of the package."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    wheel = f"dist/retouch-{version}-py3-none-any.whl"
    assert call.arguments[:4] == ["--from", wheel, "retouch", "edit"]


def compares_servers(call: Call, checkout: Path) -> None:
    """The command takes the arguments, and its tokens are in the environment."""
    assert len(call.environment["RETOUCH_PARITY_TOKENS"].split()) == 2
    at = call.arguments.index("--sample") + 1
    words = [*call.arguments[:at], str(checkout / call.arguments[at]), *call.arguments[at + 1 :]]
    done = CliRunner().invoke(app, [*words, "--dry-run"])
    assert done.exit_code == 0, done.output


def by_parser(parser: ArgumentParser) -> Check:
    """The parser of the command takes the arguments."""

    def check(call: Call, checkout: Path) -> None:
        parser.parse_args(call.arguments)

    return check


def hardens(call: Call, checkout: Path) -> None:
    """The parser takes the arguments, and the attacks exist."""
    harden_options(attacks(hardening), call.arguments)


def has_options(source: str) -> Check:
    """Each option stands in the source of the program, whose parser cannot be called alone."""

    def check(call: Call, checkout: Path) -> None:
        text = (ROOT / source).read_text()
        for word in call.arguments:
            assert not word.startswith("--") or f'"{word}"' in text, word

    return check


def joins_ray(call: Call, checkout: Path) -> None:
    """The parser of Ray takes the arguments, and the cluster has a token."""
    assert call.environment["RAY_AUTH_MODE"] == "token"
    assert len(call.environment["RAY_AUTH_TOKEN"]) == 64
    from ray.scripts.scripts import cli as ray_cli  # takes seconds

    command, *arguments = call.arguments
    assert ray_cli.commands[command].make_context(command, arguments).params


def composes(call: Call, checkout: Path) -> None:
    """The files exist, and .env has a value for each variable that they require."""
    if call.arguments[0] != "compose":
        builds(call, checkout)
        return
    words = call.arguments[1:]
    files = [words[at + 1] for at, word in enumerate(words) if word == "-f"]
    assert words[2 * len(files) :] == ["up", "--build", "--detach", "--wait"]
    needed = {
        name
        for file in files or ["docker-compose.yml"]
        for name in re.findall(r"\$\{(\w+):\?", (checkout / file).read_text())
    }
    lines = (checkout / ".env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert len(needed) == 4
    assert all(given[name] for name in needed)


def builds(call: Call, checkout: Path) -> None:
    """The image has the name and version under which deploy/ uses it; the stage exists."""
    image = read(ROOT / "deploy" / "kustomization.yaml")["images"][0]
    tag = f"{image['newName']}:{image['newTag']}"
    if call.arguments[0] == "push":
        assert call.arguments == ["push", tag]
        return
    cpu = str(read(ROOT / "docker-compose.yml")["services"]["api"]["image"])
    command, *options = call.arguments
    if command == "run":
        assert options[-1] == cpu
        assert options[:2] == ["--publish", "127.0.0.1:8000:8000"]
        assert options[2:-1] == ["--volume", "retouch:/data", "--read-only", "--tmpfs", "/tmp"]
        return
    if command == "buildx":
        words = ["build", "--platform", "linux/amd64,linux/arm64", "--target", "cpu", "--tag"]
        assert options == [*words, f"registry.example.com/{cpu}", "--push", "."]
        return
    target = options[1]
    own = {"cuda": tag, "cpu": cpu}[target]
    assert (command, options) == ("build", ["--target", target, "--tag", own, "."])
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(rf"^FROM \S+ AS {target}$", dockerfile, re.MULTILINE)


def applies(call: Call, checkout: Path) -> None:
    """The files exist and are valid; tests/deploy/test_kubernetes.py has all of deploy/."""
    import kubernetes_validate  # takes a second

    options: dict[str, Any] = dict(zip(call.arguments[1::2], call.arguments[2::2], strict=False))
    if call.arguments[:2] == ["get", "pods"]:
        namespace = read(ROOT / "deploy" / "namespace.yaml")["metadata"]["name"]
        assert call.arguments[2:] == ["--namespace", namespace]
    elif "--kustomize" in options:
        folder = checkout / options["--kustomize"]
        assert all(
            (folder / file).exists() for file in read(folder / "kustomization.yaml")["resources"]
        )
    else:
        assert call.arguments[0] == "apply"
        for document in documents(checkout / options["--filename"]):
            kubernetes_validate.validate(
                document, kubernetes_validate.latest_version(), strict=True
            )
            assert "" not in document.get("stringData", {}).values()


def sets_up_bucket(call: Call, checkout: Path) -> None:
    """The document has the form that S3 takes, and a rule covers results alone."""
    service, command, *words = call.arguments
    option, key, rule = _BUCKET[command]
    assert (service, words[::2]) == ("s3api", ["--bucket", f"--{option}"])
    document = json.loads((checkout / words[3].removeprefix("file://")).read_text())
    schema = {**_OBJECT, "properties": {key: {"type": "array", "minItems": 1, "items": rule}}}
    jsonschema.validate(document, schema)
    if key == "Rules":
        assert [one["Filter"] for one in document[key]] == [{"Prefix": "results/"}]


@dataclass(frozen=True)
class NotRun:
    """A program, perhaps with its first argument, that is recorded: how often on all pages, why, and its check."""

    command: str
    times: int
    why: str
    check: Check


NOT_RUN = (
    NotRun(
        "./scripts/serve", 8, "runs until it is stopped; one runs beside, started by it", starts
    ),
    NotRun("./scripts/test", 5, "is what runs these tests", tests),
    NotRun("./scripts/check", 3, "runs them too", tests),
    NotRun(".venv-test/bin/python", 1, "runs tests that run anyway", tests),
    NotRun(".venv-dev/bin/pre-commit", 1, "changes the clone of its caller", installs_hooks),
    NotRun("./scripts/smoke", 1, "calls every route, half a minute", takes_nothing),
    NotRun("./scripts/harden", 3, "attacks for minutes to hours", hardens),
    NotRun(
        "./scripts/benchmark",
        1,
        "installs rembg and IOPaint, twelve minutes",
        has_options("scripts/benchmark.py"),
    ),
    NotRun("./scripts/benchmark_gpu", 3, "needs a GPU", by_parser(benchmark_gpu_parser())),
    NotRun("./scripts/quality", 1, "fetches photographs, ten minutes", by_parser(quality_parser())),
    NotRun("./scripts/weights fetch", 2, "downloads gigabytes", moves_weights),
    NotRun("./scripts/weights bundle", 2, "needs them", moves_weights),
    NotRun("./scripts/retouch bundle", 1, "tests/deploy/test_bundle.py makes one", makes_bundle),
    NotRun("tar", 1, "needs it", installs_bundle),
    NotRun("./retouch-bundle/install", 1, "the same", installs_bundle),
    NotRun("./installed/retouch", 1, "the same", installs_bundle),
    NotRun("uvx", 1, "downloads the packages of a new environment", runs_the_wheel),
    NotRun("./scripts/retouch parity", 1, "calls the hosted API", compares_servers),
    NotRun("./scripts/deploy-models", 1, "needs a cluster; tests/cluster has one", deploys),
    NotRun("deploy/serve-in-cluster", 1, "the same", starts),
    NotRun("ray", 2, "the same", joins_ray),
    NotRun("docker", 7, "no Docker engine in continuous integration", composes),
    NotRun("kubectl", 4, "no Kubernetes either", applies),
    NotRun("aws", 2, "is not installed, and needs an account", sets_up_bucket),
)
"""All that the shell blocks name and the tests do not run. A block with another such command fails until it has
a row; a further use of one of these fails until its number is changed."""


def row(call: Call) -> NotRun:
    """Return the row of a recorded command."""
    words = str(call).split()
    (found,) = (one for one in NOT_RUN if words[: len(one.command.split())] == one.command.split())
    return found

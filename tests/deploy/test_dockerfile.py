"""The images: pinned, without root, with a health check."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.deploy.files import DOCKERFILE, instruction
from tests.helpers.places import ROOT

TEXT = DOCKERFILE.read_text()


def test_the_linter_reports_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_every_external_base_image_is_pinned_by_tag_and_digest() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", TEXT, re.MULTILINE)
    assert len(stages) == len(re.findall(r"^FROM", TEXT, re.MULTILINE))
    own = {name for _, name in stages}
    default = re.search(r"^ARG BASE=(\S+)$", TEXT, re.MULTILINE)
    assert default is not None
    bases = [default[1] if base == "${BASE}" else base for base, _ in stages]
    others = [base for base in bases if base not in own]
    assert others
    for base in others:
        assert re.fullmatch(r"[\w./-]+:\d[\w.-]*@sha256:[0-9a-f]{64}", base)


def test_both_targets_run_without_root_and_stop_on_sigterm() -> None:
    runtime = TEXT[TEXT.index("AS runtime") :]
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001:10001"]
    assert "STOPSIGNAL SIGTERM" in runtime
    for target in ("cpu", "cuda"):
        assert re.search(rf"^FROM (runtime|cpu-program) AS {target}$", TEXT, re.MULTILINE)


def test_every_copied_path_is_in_the_build_context() -> None:
    included = {
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    }
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    paths = {path for line in copied for path in line.split()}
    assert paths == included
    for path in paths:
        assert (ROOT / path).exists()


def test_every_package_of_the_program_is_copied() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = {pattern.rstrip("*") for pattern in setuptools["packages"]["find"]["include"]}
    assert packages == {"imaging", "models", "pipelines", "retouch", "server", "storage"}
    assert packages <= set(re.findall(r"^COPY (\w+) \./", TEXT, re.MULTILINE))


def test_the_file_contains_no_secret() -> None:
    text = TEXT.replace("ENV RETOUCH_MAKE_TOKEN=true\n", "")  # whether to make one
    assert not re.search(r"(?i)^(ARG|ENV).*(token|secret|password|key)", text, re.MULTILINE)


def test_the_command_starts_the_server() -> None:
    assert instruction("CMD") == ["/venv/bin/python", "-m", "server"]

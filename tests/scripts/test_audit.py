"""scripts/audit: a package that was not looked at is never told as one without vulnerabilities."""

import subprocess
from typing import Any

import pytest

from scripts import audit
from scripts.audit import NOT_AUDITED, PASSED, VULNERABLE, Audit, read_report
from scripts.licences import REQUIREMENTS

CLEAN = {"name": "numpy", "version": "2.3.0", "vulns": []}
HOLE = {"id": "PYSEC-1", "fix_versions": ["3.1"], "aliases": [], "description": ""}
SKIPPED = {"name": "onnx", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("packages", "status"),
    [
        ([CLEAN], PASSED),
        ([], NOT_AUDITED),
        ([SKIPPED], NOT_AUDITED),
        ([CLEAN, SKIPPED], NOT_AUDITED),
        ([CLEAN, {**CLEAN, "vulns": [HOLE]}], VULNERABLE),
        ([SKIPPED, {**CLEAN, "vulns": [HOLE]}], VULNERABLE),
    ],
)
def test_the_status_follows_from_what_was_audited(packages: list[Any], status: int) -> None:
    assert read_report({"dependencies": packages}).status == status


def test_a_vulnerability_is_told_with_its_fix() -> None:
    found = read_report({"dependencies": [{**CLEAN, "vulns": [HOLE]}]})
    assert found.vulnerable == ["numpy 2.3.0: PYSEC-1, fixed in 3.1"]


def test_what_was_not_audited_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    audit.report_on("image cpu", Audit([], ["onnx"], []))
    assert "NOT AUDITED: 1 packages of image cpu" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stderr", "status"),
    [
        ("ConnectionError: could not resolve pypi.org", NOT_AUDITED),
        ("requests.exceptions.ReadTimeout: timed out", NOT_AUDITED),
    ],
)
def test_a_service_that_is_not_reached_audits_nothing(
    monkeypatch: pytest.MonkeyPatch, stderr: str, status: int
) -> None:
    answer(monkeypatch, stderr)
    assert audit.audit(REQUIREMENTS / "lite.txt").status == status


def test_a_service_that_does_not_answer_audits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: object) -> None:
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    assert audit.audit(REQUIREMENTS / "lite.txt").status == NOT_AUDITED


def test_any_other_failure_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "TypeError: a fault")
    with pytest.raises(RuntimeError, match="a fault"):
        audit.audit(REQUIREMENTS / "lite.txt")


def answer(monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    """Let pip-audit fail with a text."""
    done = subprocess.CompletedProcess([], 1, stdout="", stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)

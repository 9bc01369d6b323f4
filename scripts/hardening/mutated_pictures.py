"""Reads mutated pictures, chosen by coverage and by structure, as the server reads them before any model.

Only a picture, or an error that the server refuses with a 4xx, is right. A crash, another exception, more
than 3 GB of memory or more than three seconds of the processor for a megapixel is a finding. The files
are kept in data/harden.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from scripts.hardening.fuzzing.seeds import seeds
from tests.helpers.places import ROOT

_KEPT = ROOT / "data" / "harden"
_MAX_FINDINGS = 20
_LIMITS = ("-max_len=200000", "-rss_limit_mb=3000", "-timeout=60", "-print_final_stats=1")
_STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")


def run(minutes: float) -> list[str]:
    """Try mutated files for so many minutes, half of them by each method; return the findings."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half = 30 * minutes
        return [*_by_structure(folder, half), *_by_coverage(folder, half)]


def _by_structure(folder: Path, seconds: float) -> list[str]:
    """Run scripts.hardening.fuzzing.by_structure, again after each finding."""
    found: dict[str, str] = {}
    outcomes: Counter[str] = Counter()
    slowest, seed = 0.0, 0
    deadline = time.monotonic() + seconds
    while (rest := deadline - time.monotonic()) > 1 and len(found) < _MAX_FINDINGS:
        done = _python("by_structure", str(folder), str(rest), str(seed))
        seed += 1
        if done.returncode not in (0, 1):
            found[f"status {done.returncode}"] = _keep(folder / "current", done.stderr)
            continue
        told = json.loads(done.stdout.splitlines()[-1])
        outcomes.update(told["outcomes"])
        slowest = max(slowest, told["slowest_s"])
        if told["error"]:
            found[told["error"]] = _keep(folder / "current", "")
    print(f"by structure: {sum(outcomes.values())} files, slowest {slowest:.2f} s")
    print("  " + ", ".join(f"{name}: {count}" for name, count in outcomes.most_common()))
    return [f"{text} (file {where})" for text, where in found.items()]


def _by_coverage(folder: Path, seconds: float) -> list[str]:
    """Run scripts.hardening.fuzzing.by_coverage, again after each finding."""
    corpus, artifacts = folder / "corpus", folder / "artifacts"
    for made in (corpus, artifacts):
        made.mkdir()
    for file in seeds():
        (corpus / hashlib.sha256(file).hexdigest()).write_bytes(file)
    began, found = time.monotonic(), dict[str, str]()
    executions = slowest = 0
    while (rest := seconds - (time.monotonic() - began)) > 1 and len(found) < _MAX_FINDINGS:
        options = (f"-max_total_time={int(rest) + 1}", f"-artifact_prefix={artifacts}/")
        done = _python("by_coverage", *_LIMITS, *options, str(corpus))
        numbers = {name: int(number) for name, number in _STATISTIC.findall(done.stderr)}
        executions += numbers.get("number_of_executed_units", 0)
        slowest = max(slowest, numbers.get("slowest_unit_time_sec", 0))
        if not numbers:
            raise RuntimeError(f"libFuzzer did not start: {done.stderr[-2000:]}")
        for artifact in artifacts.glob("*-*"):
            if not artifact.name.startswith("slow-unit"):
                found[_reason(done.stderr)] = _keep(artifact, done.stderr)
            artifact.unlink()
    kept = len(list(corpus.iterdir()))
    print(f"by coverage: {executions} files, {kept} kept for what they reach, slowest {slowest} s")
    return [f"{text} (file {where})" for text, where in found.items()]


def _python(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"scripts.hardening.fuzzing.{module}", *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=ROOT, capture_output=True, text=True, errors="replace"
    )


def _reason(output: str) -> str:
    """Return the line in which libFuzzer or Python says what happened."""
    lines: Sequence[str] = [
        line for line in output.splitlines() if "Error:" in line or "ERROR:" in line
    ]
    return lines[0].strip() if lines else "an unknown fault"


def _keep(file: Path, output: str) -> str:
    """Copy a file, and what was printed, to the folder of findings; return where it is."""
    _KEPT.mkdir(parents=True, exist_ok=True)
    content = file.read_bytes()
    kept = _KEPT / hashlib.sha256(content).hexdigest()[:16]
    kept.write_bytes(content)
    if output:
        kept.with_suffix(".txt").write_text(output)
    return str(kept.relative_to(ROOT))

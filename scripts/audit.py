"""Audits the locked packages of the images for known vulnerabilities, and lists them as SBOMs."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.licences import PAGE, REQUIREMENTS

ROOT = Path(__file__).resolve().parents[1]
IMAGES = {"cpu": "cluster", "cuda": "gpu-cluster"}
"""By image: the file of its packages."""
PASSED, VULNERABLE, NOT_AUDITED = 0, 1, 3
"""The exit statuses. 2 is that of wrong arguments."""
_TIMEOUT_S = 180
"""Timeout of each tool, in seconds."""
_SOCKET_TIMEOUT_S = 10


@dataclass(frozen=True)
class Audit:
    """What pip-audit found.

    audited, skipped: names of packages. vulnerable: lines for a reader, one for each vulnerability.
    """

    audited: Sequence[str]
    skipped: Sequence[str]
    vulnerable: Sequence[str]

    @property
    def status(self) -> int:
        """The exit status: a package that nobody looked at is not one without vulnerabilities."""
        if self.vulnerable:
            return VULNERABLE
        return NOT_AUDITED if self.skipped or not self.audited else PASSED


def read_report(report: Mapping[str, Any]) -> Audit:
    """Return what pip-audit's JSON report says."""
    audited, skipped, vulnerable = [], [], []
    for package in report["dependencies"]:
        if "skip_reason" in package:
            skipped.append(package["name"])
            continue
        audited.append(package["name"])
        for found in package["vulns"]:
            fixed = ", ".join(found["fix_versions"]) or "no version yet"
            vulnerable.append(
                f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}"
            )
    return Audit(audited, skipped, vulnerable)


def audit(requirements: Path) -> Audit:
    """Ask the service of advisories about every package of a file; raises RuntimeError if that fails."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements)]
    command += [
        "--require-hashes",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    command += ["--timeout", str(_SOCKET_TIMEOUT_S)]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Audit([], [requirements.stem], [])
    try:
        return read_report(json.loads(done.stdout))
    except (ValueError, KeyError) as error:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        if re.search(r"connect|resolve|timed? ?out|unreachable", last, re.IGNORECASE):
            return Audit([], [requirements.stem], [])
        raise RuntimeError(f"pip-audit failed with status {done.returncode}: {last}") from error


def sbom(image: str) -> dict[str, Any]:
    """Return the SBOM (CycloneDX 1.6) of an image's packages, with their hashes and licences."""
    file = REQUIREMENTS / f"{IMAGES[image]}.txt"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "sbom.json"
        command = [sys.executable, "-m", "cyclonedx_py", "requirements", str(file)]
        command += ["--output-reproducible", "--spec-version", "1.6", "--output-file", str(out)]
        command += ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"]
        subprocess.run(command, check=True, timeout=_TIMEOUT_S)  # noqa: S603 - this interpreter
        made: dict[str, Any] = json.loads(out.read_text())
    licences = listed_licences()
    for component in made["components"]:
        component["licenses"] = [{"expression": licences[component["name"]]}]
    return made


def listed_licences() -> dict[str, str]:
    """Return the licence of each package, as docs/licences.md lists it."""
    return dict(re.findall(r"^\| (\S+) \| ([^|]+) \|", PAGE.read_text(), re.MULTILINE))


def report_on(name: str, found: Audit) -> None:
    """Print what an audit found; what was not audited goes to stderr."""
    print(f"{name}: {len(found.audited)} packages audited, {len(found.vulnerable)} vulnerabilities")
    for line in found.vulnerable:
        print(f"  VULNERABLE {line}", file=sys.stderr)
    if found.skipped or not found.audited:
        print(
            f"  NOT AUDITED: {len(found.skipped) or 'all'} packages of {name}; the service of advisories was not"
            " reached, or does not know them. This says nothing about their vulnerabilities.",
            file=sys.stderr,
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the SBOMs and audit the packages; return the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("build"), help="folder of the SBOMs")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for image in IMAGES:
        file = options.output / f"sbom-{image}.cdx.json"
        file.write_text(json.dumps(sbom(image), indent=1))
        print(f"{file}: written")
    statuses = []
    for image, name in IMAGES.items():
        found = audit(REQUIREMENTS / f"{name}.txt")
        report_on(f"image {image}", found)
        statuses.append(found.status)
    return VULNERABLE if VULNERABLE in statuses else max(statuses)


if __name__ == "__main__":
    sys.exit(main())

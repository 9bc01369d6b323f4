"""Runs the attacks of scripts/hardening by name and prints what they find."""

import argparse
import importlib
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from scripts import hardening

_MINUTES = 10.0
Attack = Callable[[float], list[str]]
"""Attacks for about so many minutes; returns the findings."""


@dataclass(frozen=True)
class Report:
    """The outcome of one attack: its findings, and the minutes that it took."""

    name: str
    findings: list[str]
    minutes: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attacks that the arguments name; return 1 if one of them found anything, else 0."""
    known = attacks(hardening)
    options = _options(known, arguments)
    if options.list:
        for name in known:
            print(f"{name:24} {summary(hardening, name)}")
        return 0
    reports = []
    for name in options.names or known:
        print(f"\n== {name}, about {options.minutes:g} minutes", flush=True)
        reports.append(attack(name, known[name], options.minutes))
        _print_findings(reports[-1])
    _print_summary(reports)
    return int(any(report.findings for report in reports))


def attacks(package: ModuleType) -> Mapping[str, Attack]:
    """Return the attacks by name, in alphabetical order: one for each file of a package's folder."""
    names = sorted(
        found.name for found in pkgutil.iter_modules(package.__path__) if not found.ispkg
    )
    return {name: _Lazy(f"{package.__name__}.{name}") for name in names}


@dataclass(frozen=True)
class _Lazy:
    """The attack of a module that is imported when it is first needed."""

    module: str

    def __call__(self, minutes: float) -> list[str]:
        return list(importlib.import_module(self.module).run(minutes))


def summary(package: ModuleType, name: str) -> str:
    """Return the first line of an attack's docstring."""
    module = importlib.import_module(f"{package.__name__}.{name}")
    return (module.__doc__ or "").partition("\n")[0]


def attack(name: str, run: Attack, minutes: float) -> Report:
    """Run one attack. An exception is a finding too, because nothing is known about the rest then."""
    began = time.monotonic()
    try:
        findings = run(minutes)
    except Exception as error:
        traceback.print_exc()
        findings = [f"The attack ended early: {type(error).__name__}: {error}"]
    return Report(name, findings, (time.monotonic() - began) / 60)


def _options(known: Mapping[str, Attack], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("scripts/harden", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(known) or "none")
    parser.add_argument("--minutes", type=_minutes, default=_MINUTES, help="of each attack")
    parser.add_argument("--list", action="store_true", help="tell what each attack does")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no attack is called {', '.join(unknown)}; there are: {', '.join(known)}")
    return options


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 < minutes < 10_000:  # neither is NaN
        raise ValueError("out of range")
    return minutes


def _print_findings(report: Report) -> None:
    for finding in report.findings:
        print(f"FOUND: {finding}", flush=True)


def _print_summary(reports: Sequence[Report]) -> None:
    print("\n== summary")
    for report in reports:
        found = len(report.findings)
        verdict = "withstood" if not found else "1 finding" if found == 1 else f"{found} findings"
        print(f"{report.name:24} {report.minutes:7.1f} min  {verdict}")


if __name__ == "__main__":
    sys.exit(main())

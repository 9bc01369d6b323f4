"""The GPU benchmark as a whole: with tiny models, in an environment that has diffusers only as a wheel."""

import importlib.metadata
import os
import re
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from models.catalog.registry import CARDS
from scripts import benchmark_gpu
from scripts.gpu_benchmark import comparison, variants, wheels
from scripts.gpu_benchmark.bench import Bench
from scripts.gpu_benchmark.cases import CASES
from scripts.gpu_benchmark.comparison import difference
from scripts.gpu_benchmark.measure import Run, Way
from scripts.gpu_benchmark.page import BEGIN, END, NOT_A_MEASUREMENT, Page
from scripts.gpu_benchmark.run import PARTS
from scripts.gpu_benchmark.targets import SERVER, TARGETS
from tests.helpers.places import ROOT

Program = Callable[..., "subprocess.CompletedProcess[str]"]
TIME = re.compile(r"^\d+\.\d$")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """scripts/benchmark_gpu with a Python that has every package except those that wheels bring."""
    folder = tmp_path_factory.mktemp("bare")
    packages = folder / "packages"
    packages.mkdir()
    hidden = tuple(wheels.MODELS.values())
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(hidden):
            (packages / entry.name).symlink_to(entry)
    # -S: the packages of the environment are not found by themselves.
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "RETOUCH_PYTHON": str(python), "OMP_NUM_THREADS": "1"}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        command = [ROOT / "scripts" / "benchmark_gpu", *arguments]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, cwd=folder
        )

    return run


@pytest.fixture(scope="module")
def carried(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheels of the models, as the program fetches them."""
    folder = tmp_path_factory.mktemp("wheels")
    result = program("--fetch-wheels", folder, "--without-server")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def page(program: Program, carried: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a run of all parts."""
    page = tmp_path_factory.mktemp("docs") / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    result = program("--wheels", carried, "--rounds", "1", "--into", page)
    assert result.returncode == 0, result.stdout + result.stderr
    return page.read_text()


def rows(page: str, section: str) -> list[list[str]]:
    """Return the cells of each row of a section."""
    text = page.partition(f"#### {section}")[2].partition("####")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


class TestWheels:
    """What is carried to a machine without a network."""

    def test_the_wheels_of_the_models_have_the_locked_versions(self, carried: Path) -> None:
        pins = wheels._pins(wheels.LOCK.read_text())
        found = {
            f"{wheels.normal(file.name.split('-')[0])}=={file.name.split('-')[1]}"
            for file in carried.iterdir()
        }
        assert found == {pins[name].partition(" ")[0] for name in wheels.MODELS}

    def test_every_carried_package_is_locked_with_hashes(self) -> None:
        pins = wheels._pins(wheels.LOCK.read_text())
        assert all("--hash=sha256:" in pins[name] for name in (*wheels.MODELS, *wheels.SERVER))

    def test_every_package_is_found_by_the_module_that_is_named_for_it(self) -> None:
        assert wheels.missing([*wheels.MACHINE, *wheels.SERVER]) == []

    def test_what_the_carried_packages_need_is_looked_for(self) -> None:
        """diffusers needs `requests`, and FastAPI `opentelemetry`, which torch and transformers do not bring."""
        known = {*wheels.MACHINE, *wheels.MODELS, *wheels.SERVER}
        # For Python before 3.8, where it is not in the standard library.
        known.add("importlib-metadata")
        for name in (*wheels.MODELS, *wheels.SERVER):
            for needed in map(Requirement, importlib.metadata.requires(name) or ()):
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    assert wheels.normal(needed.name) in known, (name, needed.name)

    def test_without_wheels_it_says_what_is_missing(self, program: Program) -> None:
        result = program("--wheels", "nothing-here")
        assert result.returncode == 2
        assert "nothing-here has no wheels" in result.stderr

    def test_it_measures_nothing_without_the_packages_of_the_models(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(wheels.MODELS, "diffusers", "no_such_module")
        assert benchmark_gpu.main([]) == 2
        assert "Missing here: diffusers" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("names", "text"),
        [
            (["a-1-cp27-cp27m-any.whl"], "is for cp27"),
            (["a-1-py3-none-win_arm9.whl"], "is for win_arm9"),
            (["a_b-1-py3-none-any.whl", "A.b-2-py3-none-any.whl"], "are one package"),
        ],
    )
    def test_wheels_that_cannot_be_used_are_named(
        self, tmp_path: Path, names: list[str], text: str
    ) -> None:
        for name in names:
            # The end of an empty archive.
            (tmp_path / name).write_bytes(b"PK\5\6" + bytes(18))
        with pytest.raises(wheels.WheelError, match=text), wheels.unpacked(tmp_path):
            pass


BY_WORDS = [
    card for card in CARDS if card.backend.partition(":")[0].endswith(("klein_roles", "qwen_roles"))
]
"""Roles of the models that edit by words: they make the call of KleinEdit and QwenEdit, which have rows."""


class TestRehearsal:
    """A whole run with tiny models and with diffusers only as a wheel."""

    def test_no_row_failed_and_every_row_has_a_time_or_needs_a_gpu(self, page: str) -> None:
        assert "failed" not in page
        measured = re.findall(r"^#### (.+)$", page, re.MULTILINE)
        tables = [one for one in measured if one not in ("Targets", "Rates")]
        assert len(tables) >= len(PARTS)
        for section in tables:
            for row in rows(page, section):
                times = [cell for cell in row[1:] if TIME.match(cell) and float(cell) > 0]
                assert times or any("needs a GPU" in cell for cell in row), row

    def test_every_target_is_told_and_none_is_claimed(self, page: str) -> None:
        found = rows(page, "Targets")
        assert [row[0] for row in found] == [target.name for target in TARGETS]
        assert all(row[3] == "not a measurement" for row in found)
        assert NOT_A_MEASUREMENT in page

    def test_networks_are_measured_in_batches_and_graphs_are_skipped(self, page: str) -> None:
        for section in ("One step of SDXL", "One step of klein", "Matting"):
            found = {row[0]: row[1] for row in rows(page, section)}
            for batch in (1, 2, 4, 8):
                one = [name for name in found if f"batch {batch}" in name]
                assert any(TIME.match(found[name]) for name in one)
            graphs = [found[name] for name in found if "CUDA graph" in name]
            assert graphs
            assert set(graphs) == {f"skipped: {variants.WITHOUT_GPU}"}
            assert any("compiled" in name for name in found)
        assert any("float8" in row[0] for row in rows(page, "One step of klein"))

    def test_only_the_part_between_the_markers_is_written(self, page: str) -> None:
        assert page.startswith(f"before\n{BEGIN}\n")
        assert page.endswith(f"{END}\nafter\n")
        assert "old" not in page.split()

    def test_every_torch_backend_has_a_row_with_a_time(self, page: str) -> None:
        torch = ("models.backends.torch.", "models.backends.diffusion.")
        without_gpu = "models.backends.diffusion.sd15"
        backends = {
            card.backend.partition(":")[2].removeprefix("Tiny")
            for card in CARDS
            if card.backend.startswith(torch) and not card.backend.startswith(without_gpu)
        }
        found = rows(page, comparison.SECTION)
        one_call = {card.backend.partition(":")[2].removeprefix("Tiny") for card in BY_WORDS}
        assert {row[0].partition(",")[0] for row in found} - one_call == backends - one_call | {
            "FaceNetworks"
        }
        assert len(found) == len(CASES)

    def test_a_comparison_has_its_time_and_the_ratio(self, page: str) -> None:
        compared = {case.name for case in CASES if case.rival is not None}
        found = {row[0]: row for row in rows(page, comparison.SECTION)}
        for name in compared:
            ours, theirs, ratio = map(float, found[name][2:5])
            assert ratio == pytest.approx(ours / theirs, rel=0.1, abs=0.01)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run that writes `page.md`."""
    return Run(Page(tmp_path / "page.md", False), "cpu", 60, 2, 30)


class TestRows:
    """Rows that go wrong, and what remains of the others."""

    def test_a_row_that_fails_names_its_error_and_the_next_is_measured(
        self, run: Run, tmp_path: Path
    ) -> None:
        def fails(number: int) -> object:
            raise RuntimeError("no | memory\nmore")

        found = run.turns("A", [Way("one", fails), Way("two", int)])
        assert np.isnan(found[0])
        assert found[1] >= 0
        first, second = rows((tmp_path / "page.md").read_text(), "A")
        assert first[1] == "failed: RuntimeError: no / memory"
        assert TIME.match(second[1])
        assert run.failed

    def test_a_row_that_takes_too_long_is_stopped(self, tmp_path: Path) -> None:
        run = Run(Page(tmp_path / "page.md", False), "cpu", 60, 1, 0.05)
        run.row("A", "endless", lambda number: time.sleep(3600))
        assert rows((tmp_path / "page.md").read_text(), "A")[0][1] == "failed: its time is over"

    def test_no_row_starts_when_the_time_is_over(self, tmp_path: Path) -> None:
        run = Run(Page(tmp_path / "page.md", False), "cpu", 0, 1, 30)
        run.row("A", "late", int)
        assert rows((tmp_path / "page.md").read_text(), "A")[0][1] == "not measured: no time left"
        assert not run.failed

    def test_a_target_says_whether_it_is_reached(self, tmp_path: Path) -> None:
        page = Page(tmp_path / "page.md", True)
        page.reach(SERVER, 4.0)
        line = next(row for row in rows(page.text(), "Targets") if row[0] == SERVER.name)
        assert line[1:] == ["at most 5 %", "4 %", "yes"]
        page.reach(SERVER, 6.0)
        assert page.text().count("| no |") == 1

    def test_a_graph_of_another_shape_is_refused(self, run: Run, tmp_path: Path) -> None:
        import torch

        module = torch.nn.Linear(1, 2)
        given = torch.ones(1, 1)
        variants._graph(
            Bench(run, tmp_path, False),
            *("A", "odd", module, lambda: module(given), torch.Size((1, 3)), 1, None),
        )
        assert (
            "failed: RuntimeError: the graph returns"
            in rows((tmp_path / "page.md").read_text(), "A")[0][1]
        )

    def test_a_call_that_is_not_captured_is_refused(self, run: Run, tmp_path: Path) -> None:
        import torch

        module = torch.nn.Linear(1, 2)
        variants._graph(
            Bench(run, tmp_path, False),
            *("A", "odd", module, lambda: torch.ones(1, 2), torch.Size((1, 2)), 1, None),
        )
        assert "failed: RuntimeError: not captured" in run.page.text()

    @pytest.mark.filterwarnings("default")
    def test_a_backend_that_fails_has_a_row_and_the_next_one_is_measured(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        def fails(paths: Any, device_config: Any) -> Any:
            raise RuntimeError("no memory")

        broken = next(case for case in CASES if case.name == "Lama")
        whole = next(case for case in CASES if case.name == "NsfwClassifier")
        monkeypatch.setattr(comparison, "CASES", (replace(broken, build=fails), whole))
        comparison.backends(Bench(run, tmp_path, False))
        first, second = rows(run.page.text(), comparison.SECTION)
        assert first[:3] == ["Lama", broken.work, "failed: RuntimeError: no memory"]
        assert second[0] == "NsfwClassifier"
        assert float(second[2]) > 0


def test_differences_are_reported_by_the_type_of_the_result() -> None:
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 4, np.uint8)
    assert difference(black, grey) == "4 / 4"
    parts = np.array([[1, 1], [2, 2]], np.uint8)
    assert difference(parts, np.array([[1, 2], [2, 2]], np.uint8)).startswith("25.00%")
    assert difference({"nsfw": 0.5}, {"nsfw": 0.25}) == "0.25 / 0.25"
    assert difference("a", "b") == "another answer"

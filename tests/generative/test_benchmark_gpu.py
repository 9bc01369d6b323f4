"""The code of the GPU benchmark with tiny models, and its full sizes, counted without memory."""

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from segment_anything import build_sam_vit_h
from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

from models.catalog.registry import CARDS
from scripts.gpu_benchmark import comparison, weights
from scripts.gpu_benchmark.cases import CASES
from scripts.gpu_benchmark.comparison import BEGIN, END, NOT_A_MEASUREMENT, difference, main
from scripts.gpu_benchmark.weights import TEXT, TEXT_2, VISION, random

kinds: Any = transformers


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with the table of the benchmark."""
    page = tmp_path_factory.mktemp("docs") / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    assert main(["--rounds", "1", "--into", str(page)]) == 0
    return page.read_text()


# Libraries emit deprecation warnings; only the table is tested.
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="it would measure")
class TestTable:
    """The table that is written without a GPU."""

    def test_every_torch_backend_has_a_row_with_a_time(self, page: str) -> None:
        torch = ("models.backends.torch.", "models.backends.diffusion.")
        without_gpu = "models.backends.diffusion.sd15"
        backends = {
            card.backend.partition(":")[2].removeprefix("Tiny")
            for card in CARDS
            if card.backend.startswith(torch) and not card.backend.startswith(without_gpu)
        }
        times = re.findall(r"^\| (\w+)[^|]*\|[^|]*\| (\d+\.\d) \|", page, re.MULTILINE)
        assert {name for name, _ in times} == backends | {"FaceNetworks"}
        assert len(times) == len(CASES)
        assert all(float(spent) > 0 for _, spent in times)

    def test_a_comparison_has_its_time_and_the_ratio(self, page: str) -> None:
        compared = {case.name for case in CASES if case.rival is not None}
        found = re.findall(r"^\| ([^|]+) \|[^|]*\| (\S+) \| (\S+) \| (\S+) \|", page, re.MULTILINE)
        assert {name for name, *_ in found if name != "backend"} >= compared
        for name, ours, theirs, ratio in found:
            if name in compared:
                assert float(ratio) == pytest.approx(float(ours) / float(theirs), rel=0.1, abs=0.01)

    def test_rows_are_marked_as_no_measurement_and_the_rest_of_the_page_stays(
        self, page: str
    ) -> None:
        assert page.count(NOT_A_MEASUREMENT) == len(CASES) + 1
        assert page.startswith(f"before\n{BEGIN}\n")
        assert page.endswith(f"{END}\nafter\n")
        assert "old" not in page


@pytest.mark.filterwarnings("default")
@pytest.mark.skipif("__import__('torch').cuda.is_available()", reason="it would measure")
class TestRunThatGoesWrong:
    """The rows of a benchmark that does not run to its end."""

    def _rows(
        self, monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str
    ) -> tuple[int, list[str]]:
        def fails(paths: Any, device_config: Any) -> Any:
            raise RuntimeError("no | memory\nmore")

        broken = next(case for case in CASES if case.name == "Lama")
        whole = next(case for case in CASES if case.name == "NsfwClassifier")
        monkeypatch.setattr(comparison, "CASES", (replace(broken, build=fails), whole))
        page = folder / "page.md"
        page.write_text(f"{BEGIN}\n{END}\n")
        code = main(["--rounds", "1", "--into", str(page), *arguments])
        return code, page.read_text().split("|---")[-1].splitlines()[1:-1]

    def test_a_backend_that_fails_has_a_row_and_the_next_one_is_measured(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        code, rows = self._rows(monkeypatch, tmp_path)
        assert code == 1
        assert rows[0] == "| Lama | hole of a ninth | failed: RuntimeError: no / memory | | | | |"
        assert re.match(r"\| NsfwClassifier \|[^|]*\| \d+\.\d \|", rows[1])

    def test_no_row_starts_when_the_time_is_over(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        code, rows = self._rows(monkeypatch, tmp_path, "--minutes", "1e-9")
        assert code == 0
        assert ["no time left" in row for row in rows] == [True, True]


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        (weights.unet, 2567.5),
        (weights.vae, 83.7),
        (weights.controlnet, 1251.0),
        (partial(kinds.CLIPTextModel, kinds.CLIPTextConfig(**TEXT)), 123.1),
        (partial(kinds.CLIPTextModelWithProjection, kinds.CLIPTextConfig(**TEXT_2)), 694.7),
        (partial(kinds.CLIPVisionModelWithProjection, kinds.CLIPVisionConfig(**VISION)), 632.1),
        (partial(kinds.Qwen3ForCausalLM, kinds.Qwen3Config(**weights.QWEN3_4B)), 4022.5),
        (build_sam_vit_h, 641.1),
        (weights.lama_network, 51.1),
        (RRDBNet, 16.7),
    ],
)
@pytest.mark.filterwarnings("default")
def test_full_sizes_have_the_parameters_of_the_published_models(
    build: Any, millions: float
) -> None:
    parameters = sum(tensor.numel() for tensor in random(build, "meta").parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.5)


def test_differences_are_reported_by_the_type_of_the_result() -> None:
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 4, np.uint8)
    assert difference(black, grey) == "4 / 4"
    parts = np.array([[1, 1], [2, 2]], np.uint8)
    assert difference(parts, np.array([[1, 2], [2, 2]], np.uint8)).startswith("25.00%")
    assert difference({"nsfw": 0.5}, {"nsfw": 0.25}) == "0.25 / 0.25"
    assert difference("a", "b") == "another answer"

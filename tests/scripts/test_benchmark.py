"""A quick run of the benchmark on this server: its tables are complete and plausible."""

import re
from pathlib import Path

import pytest

from models.runtime.pool import Pool
from scripts.benchmark import BEGIN, END, main
from scripts.benchmarking.load import Cost, quantile
from scripts.benchmarking.photographs import own_photographs, sample_photographs
from scripts.benchmarking.report import OURS, Findings, report, slope_per_hour
from tests.helpers.places import PHOTOS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, weights_dir: Path, lite: Pool) -> str:
    """A page with the tables of a quick run without other servers."""
    folder = tmp_path_factory.mktemp("benchmark")
    page = folder / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    options = ["--quick", "--alone", "--only", "remove", "photographs", "eraser", "--soak", "0.1"]
    paths = [
        "--into",
        str(page),
        "--weights",
        str(weights_dir),
        "--folder",
        str(folder / "install"),
    ]
    assert main([*options, *paths]) == 0
    return page.read_text()


def test_each_number_of_callers_has_a_row_whose_numbers_are_plausible(page: str) -> None:
    rows = re.findall(r"^\| (\S[^|]*) \| (\d+) \| (\w+) \| (.*) \| \| \| \|$", page, re.MULTILINE)
    assert [(picture, callers) for picture, callers, *_ in rows] == [
        ("2 MP", "1"),
        ("2 MP", "2"),
        ("2 MP, unsure photograph", "1"),
        ("2 MP, unsure photograph", "2"),
        ("1024x1024 PNG", "1"),
        ("1024x1024 PNG", "2"),
    ]
    for _, _, server, numbers in rows:
        rate, p50, p95, cpu, peak = map(float, numbers.split(" | "))
        assert server == OURS
        assert rate > 0
        assert 0 < p50 <= p95
        assert cpu > 0
        assert peak > 50


def test_each_photograph_has_the_time_of_bare_inference(page: str) -> None:
    rows = re.findall(r"^\| ([a-z ]+) \| 2 MP \| (\S+) \| (\S+) \| (\S+) \|$", page, re.MULTILINE)
    assert [name for name, *_ in rows] == ["astronaut", "chelsea", "coffee", "small subject"]
    for _, ours, floor, ratio in rows:
        assert float(floor) > 0
        assert float(ratio) == pytest.approx(float(ours) / float(floor), abs=0.02)


def test_memory_is_measured_under_load(page: str) -> None:
    found = re.search(
        r"16 callers, 2 MP, .* peak (\d+) MiB; .* \S+% an hour .*\((\d+) samples", page
    )
    assert found is not None
    assert int(found[1]) > 50
    assert int(found[2]) >= 3


def test_the_rest_of_the_page_does_not_change(page: str) -> None:
    assert page.startswith(f"before\n{BEGIN}\n")
    assert page.endswith(f"{END}\nafter\n")
    assert "old" not in page


def test_ratios_are_of_ours_to_theirs() -> None:
    ours = Cost([1.0, 1.0], cpu_s=1.0, elapsed_s=1.0, peak=2**20)
    theirs = Cost([4.0, 4.0], cpu_s=6.0, elapsed_s=4.0, peak=2**21)
    text = report(Findings(remove={("2 MP", 8): {OURS: ours, "rembg": theirs}}), 1)
    assert "| 2 MP | 8 | rembg | 0.50 | 4.00 | 4.00 | 3.000 | 2 | 4.00 | 0.25 | 0.17 |" in text


def test_rounds_are_added_and_peaks_are_not() -> None:
    cost = Cost([1.0], cpu_s=2.0, elapsed_s=1.0, peak=7)
    cost.add(Cost([3.0], cpu_s=4.0, elapsed_s=3.0, peak=5))
    assert (cost.rate, cost.cpu_each, cost.peak) == (0.5, 3.0, 7)
    assert quantile(cost.seconds, 0.5) == pytest.approx(2.0, abs=0.01)


def test_the_slope_is_a_share_of_the_mean_per_hour() -> None:
    assert slope_per_hour([(0, 100), (1800, 101), (3600, 102)]) == pytest.approx(2 / 101)
    assert slope_per_hour([(0, 100), (60, 100)]) == 0


def test_photographs_have_the_requested_size(tmp_path: Path) -> None:
    for photo in sample_photographs(PHOTOS):
        for megapixels in (0.05, 1.5):
            image = photo.at(megapixels)
            assert image.width * image.height == pytest.approx(megapixels * 1e6, rel=0.01)
    with pytest.raises(ValueError, match="no photograph"):
        own_photographs(tmp_path)


@pytest.mark.parametrize("text", [None, "a page without markers"])
def test_an_invalid_page_stops_the_benchmark_before_it_measures(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["--quick", "--alone", "--into", str(page)])
    assert end.value.code == 2
    assert str(page) in capsys.readouterr().err

"""The page's tables: now beside before and beside others; an unproven score is not shown."""

from pathlib import Path

from scripts.quality_measures.figures import Figures
from scripts.quality_measures.report import report

NOW = {"report": {"composites": 3.0, "mean alpha error": 0.01, "rembg: mean alpha error": 0.03}}


def holes(ranked: float) -> Figures:
    """What a run finds of holes."""
    values = {"holes": 2.0, "score": 1.0, "Telea: score": 2.0, "bad fills ranked last": ranked}
    return Figures({"holes": {"report": values}})


def test_a_row_has_before_now_and_others() -> None:
    before = Figures({"matting": {"report": {"mean alpha error": 0.02}}})
    text = report(Figures({"matting": NOW}), before)
    assert "| mean alpha error | 0.0200 | 0.0100 | 0.0300 |  |  | at most 0.018 |" in text


def test_measures_that_were_not_run_have_no_table() -> None:
    assert "Faces" not in report(Figures({"matting": NOW}), Figures())


def test_a_score_that_does_not_rank_the_bad_fills_last_is_not_shown() -> None:
    assert "| score |" in report(holes(0.97), Figures())
    assert "| score |" not in report(holes(0.9), Figures())


def test_values_are_the_same_after_saving(tmp_path: Path) -> None:
    figures = Figures()
    figures.add("matting", NOW)
    figures.save(tmp_path / "values.json")
    assert Figures.load(tmp_path / "values.json").of == {"matting": NOW}

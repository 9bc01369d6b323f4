"""The playground in a real browser, against the real models of `lite`: from a photograph to its result."""

from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from models.runtime.pool import Pool
from server.settings import Settings
from tests.helpers.browser import served
from tests.helpers.playground import Visit, choose_photo, downloaded, run
from tests.helpers.services import SeaweedFs


def test_a_photo_loses_its_background(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    run(page)
    expect(page.locator("img-comparison-slider")).to_be_visible()
    result = downloaded(page)
    assert (result.mode, result.size) == ("RGBA", (600, 400))
    alpha = np.asarray(result)[..., 3]
    assert alpha[10, 10] == 0
    assert alpha[200, 300] == 255
    page.get_by_role("button", name="Use as input").click()
    expect(page.get_by_alt_text("The picture to edit")).to_be_visible()


def test_a_sample_a_pasted_and_a_dropped_picture_are_taken(visit: Visit) -> None:
    page = visit()
    page.get_by_role("button", name="A cat").click()
    expect(page.get_by_text("451 × 300")).to_be_visible()
    for event, field in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        width = {"paste": 40, "drop": 50}[event]
        page.evaluate(
            """async ([event, field, width]) => {
                const canvas = Object.assign(document.createElement("canvas"), {width, height: 30});
                canvas.getContext("2d").fillRect(0, 0, 9, 9);
                const blob = await new Promise((done) => canvas.toBlob(done));
                const data = new DataTransfer();
                data.items.add(new File([blob], "own.png", {type: "image/png"}));
                const Kind = event === "paste" ? ClipboardEvent : DragEvent;
                document.body.dispatchEvent(new Kind(event, {[field]: data, bubbles: true, cancelable: true}));
            }""",
            [event, field, width],
        )
        expect(page.get_by_text(f"{width} × 30")).to_be_visible()


def test_a_file_that_is_no_picture_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    (tmp_path / "notes.png").write_text("not a picture")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(tmp_path / "notes.png")
    expect(page.get_by_role("alert")).to_contain_text("notes.png cannot be read as a picture")


def test_results_come_from_the_bucket_that_the_policy_names(
    visit: Visit, lite: Pool, seaweed: SeaweedFs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    settings = Settings(
        data_dir=tmp_path, workers=2, store=seaweed.prefix(), s3_endpoint=seaweed.endpoint
    )
    with served(settings, lite) as address:
        page = visit(address)
        choose_photo(page)
        with page.expect_response(lambda answer: answer.url.startswith(seaweed.endpoint)):
            page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator("img-comparison-slider img[slot=second]")).to_be_visible()
        loaded = page.locator("img-comparison-slider img[slot=second]").evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        assert loaded == 600
        page.context.close()

"""The editors of the playground in a real browser: masks, expansion, fields, history, and the call as code."""

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.helpers.places import PHOTOS
from tests.helpers.playground import (
    Visit,
    choose_operation,
    choose_photo,
    code,
    downloaded,
    paint,
    run,
)


def photo() -> np.ndarray:
    """Return the pixels of the photograph that the tests edit."""
    return np.asarray(Image.open(io.BytesIO((PHOTOS / "coffee.jpg").read_bytes())).convert("RGB"))


def marked(page: Page) -> float:
    """Return the share of the canvas that the mask marks."""
    share: float = page.locator("canvas.mask").evaluate(
        """canvas => {
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let at = 3; at < data.length; at += 4) count += data[at] > 127;
            return count / (canvas.width * canvas.height);
        }"""
    )
    return share


def test_what_the_brush_marks_is_erased_and_nothing_else(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Erase what a mask marks")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    paint(page)
    run(page)
    changed = (np.asarray(downloaded(page).convert("RGB")) != photo()).any(axis=2)
    assert changed[200, 300]
    assert 0.005 < changed.mean() < 0.1
    assert not changed[:120].any()
    assert not changed[280:].any()


def test_a_mask_is_inverted_undone_erased_and_uploaded(
    visit: Visit, tmp_path: Path, wait_until: Callable[[Callable[[], bool]], None]
) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Erase what a mask marks")
    paint(page)
    stroke = marked(page)
    assert 0.01 < stroke < 0.1
    page.get_by_role("button", name="Invert the mask").click()
    assert marked(page) == pytest.approx(1 - stroke, abs=0.01)
    page.get_by_role("button", name="Undo").click()
    assert marked(page) == pytest.approx(stroke, abs=0.001)
    page.get_by_role("button", name="Eraser").click()
    paint(page)
    assert marked(page) < stroke / 10
    half = np.zeros((400, 600), np.uint8)
    half[:, :300] = 255
    Image.fromarray(half).save(tmp_path / "half.png")
    page.get_by_label("Upload a mask").last.set_input_files(tmp_path / "half.png")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    # Not by `wait_for_function`: the policy of the page forbids what that evaluates.
    wait_until(lambda: abs(marked(page) - 0.5) < 0.02)
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the mask").click()
    saved = Image.open(io.BytesIO(Path(download.value.path()).read_bytes())).convert("L")
    assert saved.size == (600, 400)
    assert saved.getpixel((100, 50)) == 255
    assert saved.getpixel((500, 50)) == 0


def test_found_objects_are_marked_by_a_click(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Erase what a mask marks")
    page.get_by_role("button", name="Find objects").click()
    expect(page.get_by_role("button", name="Object 2", exact=True)).to_be_visible()
    box = page.locator("canvas.mask").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.45)
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    page.mouse.move(5, 5)
    assert 0.005 < marked(page) < 0.9


def test_handles_expand_the_picture(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Expand the image")
    handle = page.get_by_role("slider", name="Margin at the right")
    handle.press("Shift+ArrowRight")
    box = page.get_by_role("slider", name="Margin at the top").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 20, steps=3)
    page.mouse.up()
    top = int(
        page.get_by_role("slider", name="Margin at the top").get_attribute("aria-valuenow") or 0
    )
    assert top > 10
    run(page)
    result = downloaded(page)
    assert result.size == (664, 400 + top)
    assert np.array_equal(np.asarray(result.convert("RGB"))[top:, :600], photo())


def test_several_results_and_the_history_can_be_looked_at(visit: Visit) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Replace the background")
    page.get_by_label("Background prompt", exact=True).fill("#102030")
    page.get_by_label("Num results", exact=True).fill("2")
    run(page)
    results = page.get_by_role("group", name="Results").get_by_role("button")
    expect(results).to_have_count(2)
    results.nth(1).click()
    expect(results.nth(1)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Back to the picture").click()
    expect(page.get_by_role("region", name="Result", exact=True)).to_have_count(0)
    page.get_by_role("region", name="History of this session").get_by_role("button").click()
    expect(page.get_by_role("region", name="Result", exact=True)).to_be_visible()


def test_the_code_of_the_call_works(visit: Visit, tmp_path: Path) -> None:
    page = visit()
    choose_photo(page)
    choose_operation(page, "Add a shadow to a product")
    page.get_by_label("Shadow intensity", exact=True).fill("40")
    page.get_by_label("Background color", exact=True).fill("#f5f5f5")
    shutil.copy(PHOTOS / "coffee.jpg", tmp_path)
    (tmp_path / "call.py").write_text(code(page, "Python"))
    (tmp_path / "call.mjs").write_text(code(page, "JavaScript"))
    (tmp_path / "call.sh").write_text(code(page, "curl"))
    compile((tmp_path / "call.py").read_text(), "call.py", "exec")
    commands = [["sh", "call.sh"]]
    if node := shutil.which("node"):
        (tmp_path / "call.mjs").write_text(
            (tmp_path / "call.mjs")
            .read_text()
            .replace("await answer.json()", "await answer.text()")
        )
        commands.append([node, "call.mjs"])
    results = []
    for command in commands:
        done = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        picture = httpx.get(json.loads(done.stdout)["result_url"]).content
        results.append(np.asarray(Image.open(io.BytesIO(picture))))
    run(page)
    shown = np.asarray(downloaded(page))
    for result in results:
        assert np.array_equal(result, shown)

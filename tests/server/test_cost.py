"""The expected cost of requests: every operation has one, and the memory is at least what was measured."""

from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from imaging.files.header import Probe
from scripts.hardening.memory_of_requests import BY_KEY, CASES, Case, measure_alone
from server.cost import FOOTPRINTS, decoding, estimate
from server.http.uploads import Encoded
from server.operations import OPERATIONS

MEBIBYTE = 2**20
CHEAP = (
    ("/background/remove", "opaque"),
    ("/crop", "deep"),
    ("/product/shadow", "touching"),
)
"""Cases that take little time, by name, and the kind of picture of each."""


def test_every_operation_has_a_footprint() -> None:
    assert set(FOOTPRINTS) == {operation.key for operation in OPERATIONS}


@pytest.fixture(scope="module")
def process() -> Iterator[Executor]:
    """A process of its own: threads and caches of other tests would add to a peak."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        yield process


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak")
@pytest.mark.parametrize(("name", "kind"), CHEAP)
def test_a_request_takes_no_more_memory_than_expected(
    name: str, kind: str, process: Executor, weights_dir: Path
) -> None:
    measured = process.submit(measure_alone, name, 2_000_000, kind, weights_dir).result(300)
    assert measured.memory <= measured.expected.memory
    assert measured.memory > 3 * measured.pixels, "the picture alone takes so much"
    assert measured.expected.memory <= 3 * measured.memory


def encoded(size: int, is_mask: bool = False, **header: object) -> Encoded:
    """Return a picture of size x size pixels whose file does not matter."""
    probe = Probe("JPEG", size, size, "RGB", animated=False, alpha=False)
    return Encoded(b"", replace(probe, **header), is_mask)


def cost_of(case: Case, **pictures: Encoded) -> tuple[float, float]:
    """Return the seconds and the memory of a case in MiB."""
    operation = BY_KEY[case.key]
    named = {name: "measured" for name in operation.in_path}
    cost = estimate(operation, operation.body.model_validate({**named, **case.fields}), pictures)
    return cost.seconds, cost.memory / MEBIBYTE


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_larger_picture_costs_more(case: Case) -> None:
    small, large = (cost_of(case, image=encoded(side)) for side in (300, 4000))
    assert small[0] < large[0]
    assert small[1] < large[1]


def test_a_larger_result_costs_more() -> None:
    for less, more in (
        (Case("/image_expansion", {"aspect_ratio": "1:1"}), {"canvas_size": [5000, 5000]}),
        (Case("/image/increase_resolution"), {"desired_increase": 4}),
        (Case("/product/shadow"), {"shadow_offset": [900, 900]}),
        (Case("/v2/image/edit/crop_foreground"), {"padding": 2000}),
        (Case("/background/replace", {"bg_prompt": "red"}), {"original_quality": True}),
    ):
        image = encoded(1500)
        larger = Case(less.key, {**{"bg_prompt": "red"}, **more})
        assert cost_of(less, image=image) < cost_of(larger, image=image), less.key


def test_sixteen_masks_take_no_more_memory_than_one() -> None:
    case = next(case for case in CASES if case.name.endswith("16"))
    image, mask = encoded(4000), encoded(4000, is_mask=True)
    one = cost_of(case, image=image, a=mask)
    many = cost_of(case, image=image, **{f"m{number}": mask for number in range(16)})
    assert many[1] == one[1]
    assert many[0] > one[0]


def test_each_scan_costs_time_and_several_cost_memory() -> None:
    plain, progressive, many = (
        decoding({"image": encoded(8192, scans=scans)}) for scans in (1, 10, 16)
    )
    assert plain.seconds < progressive.seconds < many.seconds
    assert plain.memory < progressive.memory == many.memory

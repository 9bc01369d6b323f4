"""Out of memory: the call is retried on a smaller input, and the result has the requested size."""

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from imaging.resize import SizeRule
from models.deadline import Deadline, deadline_scope
from models.errors import ModelOutOfMemoryError
from models.role_calls import retry_generate
from models.roles import CAPTIONING, PROMPT_REFINEMENT, ROLES, DetectedObject, Face, Role
from models.runtime.calls import ModelProxy
from models.runtime.oom_retry import RetryOnOutOfMemory, is_out_of_memory
from models.runtime.scheduler import Scheduler

RGB = np.random.default_rng(0).integers(0, 256, (96, 64, 3), np.uint8)
HOLE = np.zeros((96, 64), np.bool_)
HOLE[20:41, 10:31] = True
ALPHA = HOLE.astype(np.float32)
FACE = Face((10.0, 20.0, 20.0, 30.0), np.array([[12.0, 24.0]], np.float32), 1.0, 0.0, 0.0)


class Small:
    """A model of every role that runs out of memory above `most` pixels times seeds."""

    sizes = SizeRule(multiple=16, area=64 * 64, least=32)

    def __init__(self, most: int) -> None:
        self.most = most
        self.seen: list[tuple[tuple[int, ...], int]] = []

    def _work(self, array: Any, seeds: int = 1) -> None:
        self.seen.append((array.shape[:2], seeds))
        if array.shape[0] * array.shape[1] * seeds > self.most:
            raise MemoryError

    def matte(self, rgb: Any) -> Any:
        self._work(rgb)
        return np.full(rgb.shape[:2], 0.5, np.float32)

    def fill(self, rgb: Any, hole: Any, avoid: Any = None) -> Any:
        self._work(rgb)
        assert avoid is None or avoid.shape == hole.shape == rgb.shape[:2]
        return np.where(hole[..., None], np.uint8(7), rgb)

    def segment(self, rgb: Any) -> Any:
        self._work(rgb)
        return np.arange(rgb.shape[0] * rgb.shape[1], dtype=np.uint8).reshape(rgb.shape[:2]) % 3

    def upscale(self, rgb: Any, factor: int) -> Any:
        self._work(rgb)
        return rgb.repeat(factor, 0).repeat(factor, 1)

    def caption(self, rgb: Any) -> str:
        self._work(rgb)
        return "a cat"

    def detect(self, rgb: Any) -> list[DetectedObject]:
        self._work(rgb)
        height, width = rgb.shape[:2]
        return [DetectedObject("cat", (width / 8, height / 4, width / 2, float(height)))]

    def fill_by_prompt(self, rgb: Any, hole: Any, prompt: str, negative: str, seeds: Any) -> Any:
        self._work(rgb, len(seeds))
        assert hole.dtype == np.bool_
        assert (prompt, negative) == ("p", "n")
        return [np.full_like(rgb, seed) for seed in seeds]

    def scenes(
        self, rgb: Any, alpha: Any, prompt: str, negative: str, seeds: Any, **options: Any
    ) -> Any:
        self._work(rgb, len(seeds))
        assert options == {"fast": False, "reference": None}
        return [np.full_like(rgb, seed) for seed in seeds]

    def outpaint(self, canvas: Any, hole: Any, prompt: str, negative: str, seed: int) -> Any:
        self._work(canvas)
        return np.full_like(canvas, seed)

    def edit_face(self, rgb: Any, face: Face, actions: Any, seed: int) -> Any:
        self._work(rgb)
        x, y = rgb.shape[1] / 64, rgb.shape[0] / 96
        assert np.allclose(face.rect, (10 * x, 20 * y, 20 * x, 30 * y))
        assert np.allclose(face.landmarks, [[12 * x, 24 * y]])
        return np.full_like(rgb, seed), np.ones(rgb.shape[:2], np.float32)

    def edit(
        self, pictures: Any, prompt: str, negative: str, seeds: Any, size: Any, *, hole: Any = None
    ) -> Any:
        self._work(pictures[0], len(seeds))
        assert (prompt, negative) == ("p", "n")
        assert hole is None or hole.shape == (size[1], size[0])
        return [np.full((size[1], size[0], 3), seed, np.uint8) for seed in seeds]


ROLE_OF = {role.method: role for role in ROLES}


def scheduled(
    model: Any, role: Role[Any], name: str, make_room: Callable[[], None] = lambda: None
) -> Any:
    """Yield a proxy of a model; a scheduler runs its calls and retries them when memory runs out."""

    @contextmanager
    def use(role: Role[Any]) -> Iterator[Any]:
        yield model

    def retry(role: Role[Any]) -> RetryOnOutOfMemory | None:
        return RetryOnOutOfMemory(role, name, make_room) if role.retry else None

    scheduler = Scheduler("device", 1, use, retry=retry)
    return ModelProxy(role, scheduler.call, lambda role: model.sizes)


def retrying(most: int, method: str) -> tuple[Any, Small]:
    model = Small(most)
    return scheduled(model, ROLE_OF[method], "small"), model


CALLS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "matte": (lambda model: model.matte(RGB), (96, 64)),
    "fill": (lambda model: model.fill(RGB, HOLE), (96, 64, 3)),
    "segment": (lambda model: model.segment(RGB), (96, 64)),
    "upscale": (lambda model: model.upscale(RGB, 2), (192, 128, 3)),
    "fill_by_prompt": (lambda m: m.fill_by_prompt(RGB, HOLE, "p", "n", [3])[0], (96, 64, 3)),
    "scenes": (
        lambda m: m.scenes(RGB, ALPHA, "p", "n", [3], fast=False, reference=None)[0],
        (96, 64, 3),
    ),
    "outpaint": (lambda model: model.outpaint(RGB, HOLE, "p", "n", 3), (96, 64, 3)),
    "edit": (
        lambda model: model.edit([RGB], "p", "n", [3], (64, 96), hole=HOLE)[0],
        (96, 64, 3),
    ),
    "edit_face": (lambda model: model.edit_face(RGB, FACE, {}, 3)[0], (96, 64, 3)),
}


@pytest.mark.parametrize("method", CALLS)
def test_a_call_is_retried_smaller_with_a_result_of_the_same_size(method: str) -> None:
    call, shape = CALLS[method]
    whole = call(retrying(10**9, method)[0])
    model, inner = retrying(96 * 64 - 1, method)
    result = call(model)
    assert result.shape == shape
    assert result.dtype == whole.dtype
    assert inner.seen[0][0] == (96, 64)
    assert all(height * width < 96 * 64 for (height, width), _ in inner.seen[1:])


@pytest.mark.parametrize("method", CALLS)
def test_running_out_of_memory_twice_is_an_error(method: str) -> None:
    made_room: list[int] = []
    small = Small(0)
    model = scheduled(small, ROLE_OF[method], "small", lambda: made_room.append(1))
    with pytest.raises(ModelOutOfMemoryError, match="small needs more memory for this picture"):
        CALLS[method][0](model)
    assert made_room == [1, 1]
    assert len(small.seen) == 2


def draw_seeds(model: Any, method: str, seeds: list[int]) -> Any:
    """Call a method of a role that draws several seeds."""
    if method == "edit":
        return model.edit([RGB], "p", "n", seeds, (64, 96))
    options = {"fast": False, "reference": None} if method == "scenes" else {}
    mask = ALPHA if method == "scenes" else HOLE
    return getattr(model, method)(RGB, mask, "p", "n", seeds, **options)


@pytest.mark.parametrize("method", ["fill_by_prompt", "scenes", "edit"])
def test_seeds_that_do_not_fit_one_by_one_are_made_at_half_the_size(method: str) -> None:
    model, inner = retrying(96 * 64 - 1, method)
    pictures = draw_seeds(model, method, [5, 6, 7])
    assert [int(picture[0, 0, 0]) for picture in pictures] == [5, 6, 7]
    assert all(picture.shape == (96, 64, 3) for picture in pictures)
    whole = [((96, 64), count) for count in (3, 2, 1)]
    assert inner.seen == [*whole, *[((48, 32), 1)] * 3]


@pytest.mark.parametrize("method", ["fill_by_prompt", "scenes", "edit"])
@pytest.mark.parametrize(
    ("seeds", "fits", "batches"),
    [
        ([5, 6, 7, 8], 2, [4, 2, 2]),
        ([5, 6, 7], 2, [3, 2, 1]),
        ([5, 6, 7], 1, [3, 2, 1, 1, 1]),
        ([5, 6], 1, [2, 1, 1]),
    ],
)
def test_seeds_are_run_in_smaller_batches_before_the_picture_is_reduced(
    method: str, seeds: list[int], fits: int, batches: list[int]
) -> None:
    model, inner = retrying(96 * 64 * fits, method)
    pictures = draw_seeds(model, method, seeds)
    assert [int(picture[0, 0, 0]) for picture in pictures] == seeds
    assert inner.seen == [((96, 64), count) for count in batches]


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("CUDA error")])
def test_another_error_of_a_smaller_batch_is_not_hidden(error: Exception) -> None:
    calls: list[int] = []

    def generate(rgb: Any, mask: Any, prompt: str, negative: str, seeds: Any) -> Any:
        calls.append(len(seeds))
        raise error

    with pytest.raises(type(error)):
        retry_generate(generate, Small.sizes, RGB, HOLE, "p", "n", [5, 6, 7])
    assert calls == [2]


def test_a_smaller_size_follows_the_size_rule_of_the_model() -> None:
    model, inner = retrying(96 * 64 - 1, "outpaint")
    CALLS["outpaint"][0](model)
    assert inner.seen[1][0] == (48, 32)
    model, inner = retrying(0, "outpaint")
    wide = np.zeros((32, 80, 3), np.uint8)
    with pytest.raises(ModelOutOfMemoryError):
        model.outpaint(wide, wide[..., 0] > 0, "p", "n", 1)
    assert inner.seen[1][0] == (32, 32)


def test_a_smaller_fill_changes_nothing_outside_the_hole() -> None:
    result = CALLS["fill"][0](retrying(96 * 64 - 1, "fill")[0])
    assert np.array_equal(result[~HOLE], RGB[~HOLE])
    assert (result[25:36, 15:26] == 7).all()


@pytest.mark.parametrize("picture", [RGB, RGB.swapaxes(0, 1)], ids=["tall", "wide"])
def test_enlarging_in_halves_returns_the_same_picture(picture: Any) -> None:
    whole = Small(10**9).upscale(picture, 4)
    assert np.array_equal(retrying(96 * 64 - 1, "upscale")[0].upscale(picture, 4), whole)


def test_other_errors_and_attributes_of_the_model_are_passed_on() -> None:
    class Broken:
        sizes = Small.sizes
        calls = 0

        def caption(self, rgb: Any) -> str:
            self.calls += 1
            raise ValueError("no picture")

    inner = Broken()
    model = scheduled(inner, CAPTIONING, "broken")
    assert model.sizes is Small.sizes
    with pytest.raises(ValueError, match="no picture"):
        model.caption(RGB)
    assert inner.calls == 1


@pytest.mark.parametrize("error", [RuntimeError("the device is lost"), MemoryError()])
def test_failing_to_free_memory_is_an_error_and_does_not_hang(error: Exception) -> None:
    def fail() -> None:
        raise error

    with deadline_scope(Deadline(20)), pytest.raises(type(error)):
        scheduled(Small(0), CAPTIONING, "small", fail).caption(RGB)


def test_objects_found_at_half_the_size_are_in_pixels_of_the_picture() -> None:
    (whole,) = retrying(10**9, "detect")[0].detect(RGB)
    model, inner = retrying(96 * 64 - 1, "detect")
    (found,) = model.detect(RGB)
    assert inner.seen == [((96, 64), 1), ((48, 32), 1)]
    assert found == whole == DetectedObject("cat", (8.0, 24.0, 32.0, 96.0))


def test_a_role_without_a_smaller_call_is_tried_once() -> None:
    class Model:
        calls = 0

        def refine(self, prompt: str) -> str:
            self.calls += 1
            raise MemoryError("no room")

    inner = Model()
    with pytest.raises(MemoryError, match="no room"):
        scheduled(inner, PROMPT_REFINEMENT, "m").refine("a cat")
    assert inner.calls == 1


def test_the_first_attempt_is_freed_before_the_second() -> None:
    buffers: list[weakref.ref[Any]] = []

    class Buffer:
        pass

    class Model:
        def caption(self, rgb: Any) -> str:
            buffer = Buffer()
            buffers.append(weakref.ref(buffer))
            if len(buffers) == 1:
                raise MemoryError
            gc.collect()
            return "alive" if buffers[0]() is not None else "freed"

    assert scheduled(Model(), CAPTIONING, "m").caption(RGB) == "freed"


def test_out_of_memory_is_also_recognised_in_the_cause_of_an_error() -> None:
    wrapped = RuntimeError("the backend failed")
    wrapped.__cause__ = MemoryError()
    assert is_out_of_memory(wrapped)
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert not is_out_of_memory(RuntimeError("shapes differ"))

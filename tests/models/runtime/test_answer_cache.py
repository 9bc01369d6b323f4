"""Answers that are kept: exact, bounded, and without the texts that were sent."""

import gc
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelUnavailableError
from models.roles import CAPTIONING, PROMPT_REFINEMENT, ROLES, Role
from models.runtime.answer_cache import AnswerCache
from models.runtime.task import TENANT
from tests.helpers.cards import exclusive


class Asked:
    """A model that counts what it is asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def refine(self, prompt: str, caption: str = "", task: str = "scene") -> str:
        self.calls.append((prompt, caption, task))
        if prompt == "fail":
            raise ModelUnavailableError("no memory")
        return f"{prompt}/{caption}/{task}"

    def __call__(self, role: Role[Any], *args: str, **kwargs: str) -> str:
        return self.refine(*args, **kwargs)


def test_each_of_model_prompt_caption_and_task_is_asked_once() -> None:
    cache, asked = AnswerCache(), Asked()
    calls = [
        (model, prompt, caption, task)
        for model in ("a", "b")
        for prompt in ("x", "x ", "")
        for caption in ("", "x")
        for task in ("scene", "edit")
    ]
    for _ in range(2):
        for model, *texts in calls:
            answer = cache.call(asked, model, PROMPT_REFINEMENT, *texts)
            assert answer == "/".join(texts)
    assert asked.calls == [tuple(texts) for _, *texts in calls]


def test_no_tenant_is_answered_from_what_another_has_asked() -> None:
    cache, asked = AnswerCache(), Asked()
    for tenant in ("a", "b", "a", "b"):
        token = TENANT.set(tenant)
        cache.call(asked, "m", PROMPT_REFINEMENT, "a cat")
        TENANT.reset(token)
    assert len(asked.calls) == 2


def test_the_least_recently_used_answer_is_dropped() -> None:
    cache, asked = AnswerCache(size=2), Asked()
    for prompt in ("a", "b", "a", "c", "a", "b"):
        cache.call(asked, "m", PROMPT_REFINEMENT, prompt)
    assert [prompt for prompt, *_ in asked.calls] == ["a", "b", "c", "b"]
    assert len(cache._answers) == 2


def test_an_error_is_not_kept() -> None:
    cache, asked = AnswerCache(), Asked()
    for _ in range(2):
        with pytest.raises(ModelUnavailableError):
            cache.call(asked, "m", PROMPT_REFINEMENT, "fail")
    assert len(asked.calls) == 2


def test_any_text_is_a_key_and_none_is_held() -> None:
    cache, asked = AnswerCache(), Asked()
    prompt = "a secret \N{KITE} \ud800 " * 1000
    cache.call(lambda *args: "short", "m", PROMPT_REFINEMENT, prompt)
    assert cache.call(asked, "m", PROMPT_REFINEMENT, prompt) == "short"
    assert not asked.calls
    assert all(len(key) == 32 for key in cache._answers)
    assert not any(prompt is held for held in gc.get_referents(cache._answers))


def test_the_engine_asks_a_known_question_of_no_model(tmp_path: Path) -> None:
    asked = Asked()
    engine, held = exclusive(tmp_path, {PROMPT_REFINEMENT: asked})
    with engine.use(PROMPT_REFINEMENT) as refinement:
        first = refinement.refine("a beach", "a dog", "scene")
    held._residency.make_room()  # evicts the model
    with engine.use(PROMPT_REFINEMENT) as refinement:
        assert refinement.refine("a beach", "a dog", "scene") == first
        assert not held.stats()[PROMPT_REFINEMENT].loaded
        assert refinement.refine("a beach", "a cat", "scene") != first
    assert len(asked.calls) == 2
    assert engine.close(10)


def test_only_roles_without_pictures_keep_answers() -> None:
    assert [role for role in ROLES if role.keeps_answers] == [PROMPT_REFINEMENT]
    assert not CAPTIONING.keeps_answers

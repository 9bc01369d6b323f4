"""Prompts of generative operations: how one is refined, and which one a model was given."""

from dataclasses import dataclass

from imaging.picture import Picture
from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models, Task


@dataclass(frozen=True)
class Generated:
    """Pictures that a model generated, one for each seed, and the text that it was given.

    prompt: that text; empty if a reference picture described what to generate. refined_prompt: the same
    if a language model refined the caller's prompt, else None.
    """

    pictures: list[Picture]
    prompt: str
    refined_prompt: str | None = None


def refined(prompt: str, models: Models, caption: str = "", task: Task = "scene") -> str | None:
    """Return a more detailed prompt for what `prompt` asks for; None if it was not refined.

    That is so if the prompt is blank, the profile has no model for it, or that model leaves it as it is or
    says nothing.
    caption: describes the picture that the prompt is for. task: as in the role.
    """
    if not prompt.strip() or not models.offers(PROMPT_REFINEMENT):
        return None
    with models.use(PROMPT_REFINEMENT) as refinement:
        answer = refinement.refine(prompt, caption, task)
    return None if answer == prompt or not answer.strip() else answer


def prompt_or_caption(prompt: str, picture: Picture, models: Models) -> str:
    """Return a prompt; for an empty one what is in the picture, or "" if the profile has no model for it."""
    if prompt or not models.offers(CAPTIONING):
        return prompt
    with models.use(CAPTIONING) as captioning:
        return captioning.caption(picture.rgb)

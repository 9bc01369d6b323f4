"""POST /v1/prompt_enhancer: make a short prompt for a picture detailed."""

from typing import Any

from pydantic import BaseModel, Field, field_validator

from models.roles import PROMPT_REFINEMENT, Models
from pipelines.common.prompts import refined
from server.operation import Delivered, Inputs, Operation, Preserve, RequestBody, Results

_ANSWER = "prompt variations"
"""The name of the answer's field, with a blank in it."""


class PromptEnhancerBody(RequestBody):
    """The fields of prompt_enhancer."""

    prompt: str = Field(
        min_length=1, max_length=10_000, description="What to show.", examples=["a red balloon"]
    )
    sync: bool = Field(True, description="Accepted; the answer always has the result.")

    @field_validator("sync", mode="after")
    @classmethod
    def _always(cls, _: bool) -> bool:
        return True


class EnhancedPrompt(BaseModel):
    """The prompt with more detail."""

    variations: str = Field(
        serialization_alias=_ANSWER,
        examples=["a glossy red balloon above a wheat field, soft evening light"],
    )


def perform(body: PromptEnhancerBody, _: Inputs, models: Models) -> Results:
    """Return no picture, and the refined prompt."""
    return Results([], {_ANSWER: refined(body.prompt, models) or body.prompt})


def respond(_: Any, delivered: Delivered) -> EnhancedPrompt:
    """Return the answer with the refined prompt."""
    return EnhancedPrompt(variations=delivered.details[_ANSWER])


OPERATION = Operation(
    path="/prompt_enhancer",
    summary="Make a prompt detailed",
    body=PromptEnhancerBody,
    preserves=Preserve.PIXELS,
    needs=lambda models: (PROMPT_REFINEMENT,),
    perform=perform,
    count=lambda body: 0,
    extension="json",
    response=EnhancedPrompt,
    respond=respond,
)

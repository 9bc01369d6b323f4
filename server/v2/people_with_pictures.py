"""What product/holding and product/virtual-tryon share: a person, and pictures of what it holds or wears."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from models.roles import MAX_PICTURES, Models
from pipelines.instructions import with_pictures
from pipelines.structured_instruction import structured_instruction
from server.errors import BadRequestError
from server.geometry_fields import AspectRatio, exact_ratio
from server.http.uploads import IMAGE, Encoded, Intake
from server.listed_pictures import check_pixels, gather_listed, listed, numbered, one_or_many
from server.operation import Inputs, Operation, Preserve, Results
from server.v2.fields import Prompt, in_v2
from server.v2.named_edit import NO_CAPTION
from server.v2.words import (
    WordsBody,
    WordsResult,
    edited,
    named,
    needs_editing,
    pictures_of,
    refuse_invisible_image,
    words_result,
)

MAX_FURTHER = MAX_PICTURES - 1
"""The largest number of pictures besides that of the person."""
_PERSON = in_v2(IMAGE, "person_image")

Further = Annotated[
    tuple[str, ...],
    BeforeValidator(listed),
    one_or_many(MAX_FURTHER),
    Field(max_length=MAX_FURTHER, exclude=True),  # stored beside the body
]
"""One to three pictures."""


class PersonBody(WordsBody):
    """The fields of both routes, besides the further pictures."""

    instruction: Prompt = Field("", description="What else to heed, in words.")
    aspect_ratio: AspectRatio | None = Field(
        None, description="Width / height of the result; that of the person's picture if absent."
    )


B = TypeVar("B", bound=PersonBody)


def person_with_pictures(
    edit: Literal["holding", "virtual-tryon"],
    summary: str,
    body: type[B],
    field: str,
    further: Callable[[B], tuple[str, ...]],
) -> Operation[B]:
    """Return the operation of one of the routes. field, further: the name and the value of its pictures."""

    async def gather(body: B, intake: Intake) -> Mapping[str, Encoded]:
        sent = numbered(field, further(body))
        return named(await gather_listed(sent, field, partial(in_v2, IMAGE), intake), first=2)

    def check(_: B, pictures: Mapping[str, Encoded]) -> None:
        if len(pictures) < 2:
            raise BadRequestError(f"No picture was given: send {field}.", field)
        check_pixels(pictures, field)

    def perform(body: B, inputs: Inputs, models: Models) -> Results:
        pictures = pictures_of(inputs)
        told = with_pictures(edit, len(pictures) - 1, body.instruction)
        structured = structured_instruction(told, pictures, models, refine=False)
        ratio = None if body.aspect_ratio is None else exact_ratio(body.aspect_ratio)
        return edited(body, pictures, models, "", structured, ratio=ratio)

    return Operation[Any](
        path=f"/image/edit/product/{edit}",
        summary=summary,
        body=body,
        pictures=(_PERSON,),
        preserves=Preserve.PIXELS,
        gather=gather,
        check=check,
        prepare=refuse_invisible_image,
        needs=needs_editing,
        without=NO_CAPTION,
        perform=perform,
        response=WordsResult,
        respond=words_result,
        has_details=True,
        version="v2",
    )

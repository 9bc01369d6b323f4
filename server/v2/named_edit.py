"""What the routes of the named edits share: an instruction of the table, and the model that follows it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function, str_schema

from models.roles import CAPTIONING, Models
from pipelines.instructions import TABLE, Edit, documented
from pipelines.structured_instruction import structured_instruction
from server.http.uploads import PictureRule
from server.operation import Inputs, Operation, Preserve, Results
from server.v2.fields import V2_IMAGE
from server.v2.words import (
    WordsBody,
    WordsResult,
    edited,
    needs_editing,
    pictures_of,
    refuse_invisible_image,
    words_result,
)

B = TypeVar("B", bound=WordsBody)

MAX_NAME, MAX_DESCRIPTION = 500, 2000
"""Longest name of an object or a text, and longest description of a season or a style, in characters."""
NO_CAPTION = {CAPTIONING: "structured instructions do not describe the picture"}
"""What a profile without a model for descriptions cannot do on these routes."""


@dataclass(frozen=True)
class ValueOf:
    """Makes a text field one of the values of an edit: other spellings become the documented one.

    For `typing.Annotated`.
    """

    edit: Edit

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = str_schema(strip_whitespace=True, min_length=1, max_length=MAX_DESCRIPTION)
        return no_info_after_validator_function(lambda value: documented(self.edit, value), text)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Return the documented values; where any text is one, a bounded text beside them."""
        phrase = TABLE[self.edit]
        known = {"type": "string", "enum": list(phrase.values)}
        return {"anyOf": [known, handler(schema)]} if phrase.is_free else known


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME)]
"""Short text that must not be blank."""


def structured(body: B, inputs: Inputs, models: Models, instruction: Callable[[B], str]) -> str:
    """Return the structured instruction of a request."""
    return structured_instruction(instruction(body), pictures_of(inputs), models, refine=False)


def named_edit(
    name: str,
    summary: str,
    body: type[B],
    instruction: Callable[[B], str],
    *further: PictureRule,
    **options: Any,
) -> Operation[B]:
    """Return the operation of a named edit.

    name: below /image/edit. instruction: returns that of a request. further: rules for the pictures besides
    the image. options: of the operation.
    """

    def perform(body: B, inputs: Inputs, models: Models) -> Results:
        told = structured(body, inputs, models, instruction)
        return edited(body, pictures_of(inputs), models, "", told)

    return Operation(
        path=f"/image/edit/{name}",
        summary=summary,
        body=body,
        pictures=(V2_IMAGE, *further),
        preserves=Preserve.PIXELS,
        version="v2",
        **{
            "needs": needs_editing,
            "without": NO_CAPTION,
            "prepare": refuse_invisible_image,
            "perform": perform,
            "response": WordsResult,
            "respond": words_result,
            "has_details": True,
            **options,
        },
    )

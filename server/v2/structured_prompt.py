"""POST /v2/structured_prompt/generate and /lite: the structured prompt of a picture, without the picture."""

from models.roles import CAPTIONING, PROMPT_REFINEMENT, Models
from server.errors import FetchRefusedError
from server.operation import Delivered, Inputs, Operation, Preserve, Results
from server.v2.sources import (
    WITHOUT_CAPTIONS,
    SourcesBody,
    StructuredPromptResult,
    captioning_for,
    check,
    gather,
    prepare,
    structured_of,
)


def perform(body: SourcesBody, inputs: Inputs, models: Models) -> Results:
    """Return the structured prompt, as a file too, so that a job for it ends as all others do."""
    structured = structured_of(body, inputs, models)
    return Results([structured.encode()], {"structured_prompt": structured})


def respond(body: SourcesBody, delivered: Delivered) -> StructuredPromptResult:
    """Return the structured prompt and the seed."""
    return StructuredPromptResult(
        seed=body.seed, structured_prompt=delivered.details["structured_prompt"]
    )


def _operation(path: str, summary: str) -> Operation[SourcesBody]:
    return Operation(
        path=path,
        summary=summary,
        body=SourcesBody,
        preserves=Preserve.PIXELS,
        gather=gather,
        check=check,
        prepare=prepare,
        needs=lambda models: (PROMPT_REFINEMENT,),
        roles=lambda body, inputs, models: (PROMPT_REFINEMENT, *captioning_for(inputs)),
        without={CAPTIONING: WITHOUT_CAPTIONS},
        perform=perform,
        extension="json",
        response=StructuredPromptResult,
        respond=respond,
        has_details=True,
        further_codes=(FetchRefusedError.code,),
        version="v2",
    )


OPERATION = _operation("/structured_prompt/generate", "Describe a picture to generate, as JSON")
LITE = _operation("/structured_prompt/generate/lite", "Describe a picture quickly, as JSON")

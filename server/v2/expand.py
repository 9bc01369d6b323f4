"""POST /v2/image/edit/expand: place a picture on a larger canvas and continue it beyond its borders."""

from pydantic import Field

from imaging.picture import Picture
from models.roles import CAPTIONING, OUTPAINTING, Models
from pipelines.common.opacity import check_edges
from pipelines.common.prompts import prompt_or_caption
from pipelines.errors import OutsideCanvasError
from pipelines.image_expansion import expansion_roles, image_expansion
from server.errors import BadRequestError, UnsuitablePictureError
from server.geometry_fields import ExpansionGeometry, check_placement, longest_side
from server.operation import Delivered, Inputs, Operation, Preserve
from server.v2.fields import V2_LIMITED_IMAGE, Prompt, PromptBody, SeedResult, V2AlphaBody


class ExpandBody(ExpansionGeometry, PromptBody, V2AlphaBody):
    """The fields of expand."""

    preserve_alpha: bool = Field(
        True,
        description="Keep an alpha channel: a new pixel has the alpha of the nearest one of the image in its"
        " row or column. false makes the result opaque, and what is transparent is generated too.",
    )
    prompt: Prompt = Field(
        "",
        description="What to generate in the margin; made from the picture if absent.",
        examples=["a wooden table"],
    )


class ExpandResult(SeedResult):
    """The result of expand."""

    prompt: str = Field(
        description="The prompt that was used; empty if none was sent and the profile has no captioning model.",
        examples=["a wooden table"],
    )


def prepare(body: ExpandBody, inputs: Inputs, models: Models) -> ExpandBody:
    """Return the body with a caption as the prompt if none was sent and the profile has a model.

    Raises TransparentEdgeError if the picture has fully transparent pixels along an edge, whose alpha
    every new pixel beside them would have.
    """
    if body.preserve_alpha:
        check_edges(inputs.image)
    prompt = prompt_or_caption(body.prompt, inputs.image, models)
    return body.model_copy(update={"prompt": prompt})


def perform(body: ExpandBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the expanded picture."""
    layout = body.layout((inputs.image.width, inputs.image.height))
    words = (body.prompt, body.negative_prompt)
    return [image_expansion(inputs.image, models, *layout, body.seed, *words, body.preserve_alpha)]


def respond(body: ExpandBody, delivered: Delivered) -> ExpandResult:
    """Return the result with its seed and its prompt."""
    return ExpandResult(image_url=str(delivered.links[0]), seed=body.seed, prompt=body.prompt)


OPERATION = Operation(
    path="/image/edit/expand",
    summary="Expand the image",
    body=ExpandBody,
    pictures=(V2_LIMITED_IMAGE,),
    preserves=Preserve.PIXELS,
    perform=perform,
    check=check_placement,
    prepare=prepare,
    needs=expansion_roles,
    without={
        OUTPAINTING: "prompt and negative_prompt do not change the margin",
        CAPTIONING: "no prompt is made if none is sent",
    },
    longest_side=longest_side,
    response=ExpandResult,
    respond=respond,
    refusals={
        OutsideCanvasError: (
            BadRequestError,
            "original_image_location leaves nothing of the image",
        ),
    },
    further_codes=(UnsuitablePictureError.code,),
    version="v2",
)

"""POST /v2/image/edit/enhance: double the size of a picture and make its detail clearer."""

from pydantic import Field

from models.roles import SUPER_RESOLUTION
from pipelines.enhance import enhance, enhanced_size
from server.operation import Operation, Preserve
from server.v2.fields import V2_IMAGE, SeedBody, SeedResult, V2AlphaBody, seed_result


class EnhanceBody(SeedBody, V2AlphaBody):
    """The fields of enhance."""

    sync: bool = Field(
        False, description="Accepted, and changes nothing: the answer is always 202."
    )


OPERATION = Operation(
    path="/image/edit/enhance",
    summary="Enhance the image",
    body=EnhanceBody,
    pictures=(V2_IMAGE,),
    preserves=Preserve.FORMAT,
    needs=lambda models: (SUPER_RESOLUTION,),
    perform=lambda body, inputs, models: [
        enhance(inputs.image, models, preserve_alpha=body.preserve_alpha)
    ],
    longest_side=lambda body, probe: max(enhanced_size(probe.width, probe.height)),
    response=SeedResult,
    respond=seed_result,
    version="v2",
    is_always_asynchronous=True,
)

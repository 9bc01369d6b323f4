"""POST /v2/image/edit/increase_resolution: enlarge a picture two or four times."""

from pydantic import Field

from models.roles import SUPER_RESOLUTION
from pipelines.common.opacity import with_alpha
from pipelines.image_increase_resolution import image_increase_resolution
from server.errors import TooLargeError
from server.operation import Operation, Preserve
from server.shared_fields import DesiredIncrease, check_enlarged
from server.v2.fields import V2_IMAGE, ImageResult, V2AlphaBody, image_result


class IncreaseResolutionBody(V2AlphaBody):
    """The fields of increase_resolution."""

    desired_increase: DesiredIncrease = Field(2, description="The resolution multiplier.")


OPERATION = Operation(
    path="/image/edit/increase_resolution",
    summary="Increase the resolution",
    body=IncreaseResolutionBody,
    pictures=(V2_IMAGE,),
    preserves=Preserve.FORMAT,
    needs=lambda models: (SUPER_RESOLUTION,),
    perform=lambda body, inputs, models: [
        with_alpha(
            image_increase_resolution(inputs.image, models, body.desired_increase),
            body.preserve_alpha,
        )
    ],
    check=lambda body, pictures: check_enlarged(pictures["image"].probe, body.desired_increase),
    longest_side=lambda body, probe: max(probe.width, probe.height) * body.desired_increase,
    further_codes=(TooLargeError.code,),
    response=ImageResult,
    respond=image_result,
    version="v2",
)

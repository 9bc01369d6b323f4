"""The fields, pictures and results that the routes of v2 share."""

from dataclasses import replace

from pydantic import BaseModel, Field

from server.http.uploads import ALL_FORMATS, IMAGE, LIMITED_IMAGE, MASK, PHOTO_MODES, PictureRule
from server.operation import EXAMPLE_LINK, Delivered, RequestBody


class V2Body(RequestBody):
    """The fields that every editing route of v2 takes, besides its pictures."""

    sync: bool = Field(
        False,
        description="Wait for the result; false answers with 202 and the address of its state.",
    )
    visual_input_content_moderation: bool = Field(
        False, description="Refuse inappropriate input with 422."
    )
    visual_output_content_moderation: bool = Field(
        False, description="Withhold an inappropriate result: 422."
    )
    preserve_alpha: bool = Field(
        True, description="Keep the transparency of the image; false makes the result opaque."
    )

    @property
    def moderates_input(self) -> bool:
        """Whether a picture that the moderation model scores too high is refused."""
        return self.visual_input_content_moderation

    @property
    def moderates_output(self) -> bool:
        """Whether a result that the moderation model scores too high is withheld."""
        return self.visual_output_content_moderation


class ImageResult(BaseModel):
    """The result of every route with one picture."""

    image_url: str = Field(
        description="Address of the picture; it expires.", examples=[EXAMPLE_LINK]
    )


def image_result(_: object, delivered: Delivered) -> ImageResult:
    """Return a result with the only link."""
    return ImageResult(image_url=str(delivered.links[0]))


def _in_v2(rule: PictureRule, name: str) -> PictureRule:
    """Return a rule of v1 for the one field of v2, which holds an address, base64 or a data: URL."""
    modes = None if rule.is_mask else PHOTO_MODES
    return replace(rule, url_fields=(), file_fields=(name,), formats=ALL_FORMATS, modes=modes)


V2_IMAGE = _in_v2(IMAGE, "image")
V2_LIMITED_IMAGE = _in_v2(LIMITED_IMAGE, "image")
"""The rule of the routes for which v1 limits the file."""
V2_MASK = _in_v2(MASK, "mask")

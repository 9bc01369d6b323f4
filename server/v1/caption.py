"""GET /v1/{visual_id}/caption: describe what a visual shows in one sentence."""

from pydantic import BaseModel

from models.roles import CAPTIONING, Models, require
from server.operation import Inputs, VisualQuery


class Caption(BaseModel):
    """One English sentence."""

    caption: str


def answer(inputs: Inputs, models: Models) -> Caption:
    """Return the caption of the visual's picture; raises RoleNotInProfileError."""
    require(models, CAPTIONING)
    with models.use(CAPTIONING) as captioning:
        return Caption(caption=captioning.caption(inputs.image.rgb))


QUERY = VisualQuery(
    path="/{visual_id}/caption",
    summary="Describe a visual",
    answer=answer,
    response=Caption,
    needs=(CAPTIONING,),
)

"""GET /v1/{visual_id}/info and its parts: what can be told of a visual."""

from pipelines.person_info import people
from pipelines.subject import subject_alpha
from pipelines.visual_info import background, info, objects
from server.operation import Inquiry

INQUIRIES = (
    Inquiry(
        path="/{visual_id}/info",
        summary="Everything that can be told of a visual",
        tell=lambda given, models: info(given.image, models, given.visual_id, given.labels()),
    ),
    Inquiry(
        path="/{visual_id}/person/info",
        summary="The people of a visual",
        tell=lambda given, models: [
            person.as_json() for person in people(given.image.rgb, models, given.visual_id)
        ],
    ),
    Inquiry(
        path="/{visual_id}/objects/info",
        summary="The objects of a visual",
        tell=lambda given, models: objects(given.labels()),
    ),
    Inquiry(
        path="/{visual_id}/background/info",
        summary="The background of a visual",
        tell=lambda given, models: background(given.image.rgb, subject_alpha(given.image, models)),
    ),
)

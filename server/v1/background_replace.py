"""POST /v1/background/replace: put the subject on another background."""

from collections.abc import Mapping

from pydantic import Field

from imaging.picture import Picture
from models.roles import MATTING, SCENE_GENERATION, Models, require
from pipelines.background_replace import Scene, background_colour, background_scene
from pipelines.common.colours import find_colour
from pipelines.common.subject import subject_roles
from server.errors import BadRequestError
from server.http.uploads import LIMITED_IMAGE, REFERENCE, Encoded
from server.operation import (
    MAX_SEED,
    MIN_SEED,
    Delivered,
    EditBody,
    Inputs,
    Operation,
    Preserve,
    Seed,
    random_seed,
    seeds_of,
)
from server.v1.seeded_results import SeededResults, seeded_results


class BackgroundReplaceBody(EditBody):
    """The fields of background/replace."""

    sync: bool = Field(False, description="Wait for the results; false answers with links at once.")
    fast: bool = Field(True, description="Faster, with slightly lower quality.")
    bg_prompt: str = Field(
        "", max_length=10_000, description="The new scene, or a colour.", examples=["#c8d8e8"]
    )
    prompt: str = Field(
        "", max_length=10_000, description="Another name of bg_prompt, for a request without one."
    )
    refine_prompt: bool = Field(True, description="Refine the prompt with a language model.")
    enhance_ref_image: bool = Field(
        True, description="Crop the reference picture and adjust its contrast."
    )
    original_quality: bool = Field(
        False, description="Keep the picture's size; otherwise about one megapixel."
    )
    num_results: int = Field(4, ge=1, le=4, description="How many results are generated.")
    force_rmbg: bool = Field(
        False,
        description="Ignore an alpha channel: detect the foreground in the colours alone, hidden ones included.",
    )
    negative_prompt: str = Field(
        "", max_length=10_000, description="What must not be generated; only with fast=false."
    )
    seed: Seed = Field(
        default_factory=random_seed,
        ge=MIN_SEED,
        le=MAX_SEED,
        description="Seed of the first result; each further result has the next number.",
    )


def check(body: BackgroundReplaceBody, pictures: Mapping[str, Encoded]) -> None:
    """Refuse neither or both of prompt and reference picture."""
    has_reference = "ref_image" in pictures
    # Beside a reference picture, `prompt` alone is no error: it was never a field of these requests.
    if bool(_prompt(body, has_reference).strip()) == has_reference:
        raise BadRequestError(
            "Send either bg_prompt, or ref_image_url or ref_image_file, and not both.", "bg_prompt"
        )


def _prompt(body: BackgroundReplaceBody, has_reference: bool) -> str:
    """Return bg_prompt; without it and without a reference picture, prompt."""
    return body.bg_prompt if body.bg_prompt.strip() or has_reference else body.prompt


def prepare(body: BackgroundReplaceBody, inputs: Inputs, models: Models) -> BackgroundReplaceBody:
    """Return the body with its prompt as bg_prompt.

    Refuse a scene if the profile has no model to generate it; a plain colour needs no model.
    """
    prompt = _prompt(body, "ref_image" in inputs.pictures)
    if find_colour(prompt) is None:
        require(models, SCENE_GENERATION)
    return body.model_copy(update={"bg_prompt": prompt})


def perform(body: BackgroundReplaceBody, inputs: Inputs, models: Models) -> list[Picture]:
    """Return the subject on a plain colour (the same result each time), or in one scene for each seed."""
    options = (body.original_quality, body.force_rmbg)
    colour = find_colour(body.bg_prompt)
    if colour is not None:
        return [background_colour(inputs.image, models, colour, *options)] * body.num_results
    scene = Scene(
        body.bg_prompt,
        body.negative_prompt,
        inputs.pictures.get("ref_image"),
        body.fast,
        body.refine_prompt,
        body.enhance_ref_image,
    )
    seeds = seeds_of(body.seed, body.num_results)
    return background_scene(inputs.image, models, scene, seeds, *options).pictures


def respond(body: BackgroundReplaceBody, delivered: Delivered) -> SeededResults:
    """Return the answer with each result's link, seed and file name."""
    return seeded_results(delivered, seeds_of(body.seed, body.num_results))


OPERATION = Operation(
    path="/background/replace",
    summary="Replace the background",
    body=BackgroundReplaceBody,
    pictures=(LIMITED_IMAGE, REFERENCE),
    preserves=Preserve.PIXELS,
    check=check,
    prepare=prepare,
    needs=lambda models: (MATTING,),
    without={SCENE_GENERATION: "bg_prompt takes colours only, and no reference picture"},
    roles=lambda body, inputs, models: subject_roles(inputs.image, body.force_rmbg),
    perform=perform,
    count=lambda body: body.num_results,
    response=SeededResults,
    respond=respond,
)

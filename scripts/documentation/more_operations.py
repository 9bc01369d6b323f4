"""The pages of the operations by words, of registered pictures and of the service; see `operations.py`."""

from scripts.documentation.operations import (
    ACCEPTED,
    ASTRONAUT,
    BACKGROUNDS,
    CAT,
    COFFEE,
    PARTS,
    PRODUCTS,
    Example,
    OperationPage,
    edit,
    json_answer,
    of_visual,
)

BY_WORDS = (
    OperationPage(
        "edit-by-words",
        "Edit pictures by words",
        "Changes one picture, or makes one of several, as an instruction says.",
        ("POST /v2/image/edit",),
        edit("edit", None, images=[ASTRONAUT], instruction="make the suit blue"),
    ),
    OperationPage(
        "add-object",
        "Add an object",
        "Adds what a text says.",
        ("POST /v2/image/edit/add_object_by_text",),
        edit("edit/add_object_by_text", COFFEE, instruction="add a biscuit beside the cup"),
    ),
    OperationPage(
        "replace-object",
        "Replace an object",
        "Puts another object in the place of one.",
        ("POST /v2/image/edit/replace_object_by_text",),
        edit(
            "edit/replace_object_by_text", COFFEE, instruction="replace the cup by a glass of tea"
        ),
    ),
    OperationPage(
        "erase-object",
        "Remove a named object",
        "Removes the object that a text names.",
        ("POST /v2/image/edit/erase_by_text",),
        edit("edit/erase_by_text", COFFEE, object_name="spoon"),
    ),
    OperationPage(
        "blend",
        "Blend into a picture",
        "Blends a second picture into the first one, such as art onto a shirt.",
        ("POST /v2/image/edit/blend",),
        edit("edit/blend", COFFEE, overlay=CAT, instruction="print image 2 onto the cup"),
    ),
    OperationPage(
        "rewrite-text",
        "Rewrite text",
        "Writes another text where one is.",
        ("POST /v2/image/edit/rewrite_text",),
        edit("edit/rewrite_text", new_text="RETOUCH"),
    ),
    OperationPage(
        "reseason",
        "Change the season",
        "Makes spring, summer, autumn or winter of the season of a picture.",
        ("POST /v2/image/edit/reseason",),
        edit("edit/reseason", season="winter"),
    ),
    OperationPage(
        "relight",
        "Change the light",
        "Lights the picture in another way and from another side.",
        ("POST /v2/image/edit/relight",),
        edit("edit/relight", light_type="sunrise light", light_direction="side"),
    ),
    OperationPage(
        "restyle",
        "Change the style",
        "Redraws the picture in another style.",
        ("POST /v2/image/edit/restyle",),
        edit("edit/restyle", style="oil_painting"),
    ),
    OperationPage(
        "colorize",
        "Colour a picture, or take its colours away",
        "Colours a picture, or makes it black and white or sepia. The last two need no model.",
        ("POST /v2/image/edit/colorize",),
        edit("edit/colorize", color="sepia_vintage"),
    ),
    OperationPage(
        "sketch-to-image",
        "Turn a sketch into a photograph",
        "Turns a sketch into a coloured photograph.",
        ("POST /v2/image/edit/sketch_to_colored_image",),
        edit("edit/sketch_to_colored_image", prompt="a portrait"),
    ),
    OperationPage(
        "restore",
        "Restore an old photograph",
        "Restores an old or damaged photograph.",
        ("POST /v2/image/edit/restore",),
        edit("edit/restore"),
    ),
    OperationPage(
        "structured-instruction",
        "Describe an edit, as JSON",
        "Turns an instruction into the structured text that an edit follows, without making the picture.",
        ("POST /v2/structured_instruction/generate",),
        json_answer(
            "POST /v2/structured_instruction/generate",
            images=[COFFEE],
            instruction="make the cup blue",
            sync=True,
        ),
    ),
)

GENERATION = (
    OperationPage(
        "generate",
        "Generate a picture",
        "Makes a picture from a prompt, a picture or a structured prompt.",
        ("POST /v2/image/generate", "POST /v2/image/generate/lite"),
        edit("generate", None, prompt="a red kite above a beach"),
    ),
    OperationPage(
        "text-to-image",
        "Generate pictures (version 1)",
        "Makes pictures from a prompt. base, fast and hd are the published names.",
        (
            "POST /v1/text-to-image/base/{model_version}",
            "POST /v1/text-to-image/fast/{model_version}",
            "POST /v1/text-to-image/hd/{model_version}",
        ),
        Example(
            "POST /v1/text-to-image/base/3.2",
            {"prompt": "a red kite above a beach", "num_results": 1, "sync": True},
        ),
    ),
    OperationPage(
        "structured-prompt",
        "Describe a picture to generate, as JSON",
        "Turns a prompt or a picture into the structured text that a picture is made from, without making it.",
        (
            "POST /v2/structured_prompt/generate",
            "POST /v2/structured_prompt/generate/lite",
        ),
        json_answer("POST /v2/structured_prompt/generate", prompt="a red kite", sync=True),
    ),
    OperationPage(
        "prompt-enhancer",
        "Make a prompt detailed",
        "Makes a short prompt for a picture detailed.",
        ("POST /v1/prompt_enhancer",),
        json_answer("POST /v1/prompt_enhancer", prompt="a red kite"),
    ),
)

VISUALS = (
    OperationPage(
        "register",
        "Register a picture",
        "Stores a picture under an id, so that several edits need it only once. `upload` does the same.",
        ("POST /v1/register", "POST /v1/upload"),
        json_answer("POST /v1/register", file=COFFEE),
    ),
    OperationPage(
        "info",
        "Describe a registered picture",
        "Tells the people, the objects and the background of a registered picture, all at once or each alone.",
        (
            "GET /v1/{visual_id}/info",
            "GET /v1/{visual_id}/person/info",
            "GET /v1/{visual_id}/objects/info",
            "GET /v1/{visual_id}/background/info",
        ),
        of_visual("GET info"),
    ),
    OperationPage(
        "caption",
        "Describe it in a sentence",
        "Describes what a registered picture shows in one sentence.",
        ("GET /v1/{visual_id}/caption",),
        of_visual("GET caption"),
    ),
    OperationPage(
        "objects-remove",
        "Remove objects from a registered picture",
        "Removes objects, by the numbers of their masks or by masks that are drawn.",
        ("POST /v1/{visual_id}/objects/remove",),
        of_visual(
            "POST objects/remove",
            "image/png",
            changes=[{"mask_id": 1, "mask_source": "generated", "actions": {"remove": True}}],
        ),
    ),
    OperationPage(
        "change-people",
        "Change people of a registered picture",
        "Changes the expression, age, hair and more of people. Each change names a person by its id, and the"
        ' example reads the ids: send them in `changes`, as `[{"id": ..., "actions": {"expression": "happy"}}]`.',
        ("POST /v1/{visual_id}/create",),
        of_visual("GET person/info"),
    ),
    OperationPage(
        "image-to-psd",
        "Split a registered picture into layers",
        "Makes a PSD file with a layer for each part of the picture.",
        ("POST /v1/{visual_id}/image_to_psd",),
        of_visual("POST image_to_psd", "image/vnd.adobe.photoshop"),
    ),
    OperationPage(
        "remove-image",
        "Remove a registered picture",
        "Removes a registered picture and every result that was made from it.",
        ("POST /v1/{visual_id}/remove_image",),
        of_visual("POST remove_image"),
    ),
)

SERVICE = (
    OperationPage(
        "status",
        "The state of a request",
        "Tells the state of a request of version 2: in progress, completed with its result, or failed.",
        ("GET /v2/status/{request_id}",),
        Example("GET /v2/status/{request_id}", {}, None, ACCEPTED),
    ),
    OperationPage(
        "queue",
        "The place in the queue",
        "Tells how many tasks of the server start before a request that waits."
        " [Settings](../settings.md#the-place-in-the-queue) has an example.",
        ("GET /queue/{queue_id}",),
        None,
    ),
    OperationPage(
        "results",
        "Read a result",
        "Serves the file behind the link of a result, also in ranges. The link needs no token."
        " [First steps](../first-steps.md#the-answer-of-the-hosted-api) has an example.",
        ("GET /results/{key}",),
        None,
    ),
    OperationPage(
        "capabilities",
        "What a server can do",
        "Lists every route with whether it works on this server, the models with their licences, and the limits.",
        ("GET /capabilities",),
        json_answer("GET /capabilities"),
    ),
    OperationPage(
        "health",
        "Whether a server is well",
        "`/healthz`: the process lives. `/readyz`: it takes requests; otherwise 503, and the body says why.",
        ("GET /readyz", "GET /healthz"),
        json_answer("GET /readyz"),
    ),
)

GROUPS = {
    "Backgrounds": BACKGROUNDS,
    "Parts and size": PARTS,
    "Products": PRODUCTS,
    "By words": BY_WORDS,
    "Generation": GENERATION,
    "Registered pictures": VISUALS,
    "The service": SERVICE,
}
"""All pages, by the group in which the navigation shows them."""

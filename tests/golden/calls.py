"""The calls with results stored in this folder; their pictures are small, so that every model is quick.

The search for texture chooses the better of two candidates, so a difference of one level in its input may
change a whole patch. Therefore its input is exact here: a drawn mask, or the alpha of the picture, and a
picture under 280 x 280, which is filled at its own size in whole numbers. Fills around a subject that a
model found are stored only for `coffee`: its matte is certain, so the outline is always the same.
"""

from collections.abc import Iterator, Sequence

from scripts.route_calls import NAMES, Call, edit

_ONE = {"sync": True, "seed": 3, "num_results": 1}


def lite() -> Iterator[Sequence[Call]]:
    """Yield the calls of profile `lite`."""
    for name in NAMES:
        image = f"{name}@240.png"
        colour = {"bg_prompt": "#c8d8e8", "original_quality": True, **_ONE}
        yield edit("remove", "background/remove", image)
        yield edit("blur", "background/blur", image, scale=5)
        yield edit("replace", "background/replace", image, **colour)
        yield edit("eraser", "eraser", image, mask_file=f"{name}:mask@240.png")
        yield edit("masks", "objects/mask_generator", image)
        yield _descriptions(image)
    shot = "product/lifestyle_shot_by_text"
    cut = "astronaut:cut@240.png"
    place = {"placement_type": "manual_placement", "shot_size": [240, 160]}
    yield edit("shot", shot, cut, scene_description="#c8d8e8", **place, **_ONE)
    yield edit("alpha_crop", "crop", cut, padding=5)
    yield edit("alpha_erase_foreground", "erase_foreground", cut)
    yield edit("alpha_expansion", "image_expansion", cut, canvas_size=[260, 250], seed=1)
    yield edit("crop", "crop", "coffee@240.png")
    yield edit("cutout", "product/cutout", "coffee@240.png")
    yield edit("packshot", "product/packshot", cut, background_color="#f0f0f0")
    yield edit("shadow", "product/shadow", cut, background_color="#ff00ff")
    yield edit("shadow_float", "product/shadow", cut, type="float", shadow_color="#203060")
    yield edit("shadow_photo", "product/shadow", "coffee@240.png", shadow_offset=[20, 10])
    yield edit("erase_foreground", "erase_foreground", "coffee@240.png")
    yield edit("expansion", "image_expansion", "coffee@200.png", canvas_size=[240, 160], seed=1)
    yield edit("increase", "image/increase_resolution", "astronaut@216.jpeg")
    yield [
        Call("psd-register", "/v1/register", {"file": "coffee@140.png"}),
        Call("psd", "/v1/{visual_id}/image_to_psd"),
    ]


def tiny() -> Iterator[Sequence[Call]]:
    """Yield the calls of profile `tiny`: the generative roles, and the torch models of the other roles."""
    image, mask = "chelsea@200.png", "chelsea:mask@200.png"
    scene = {"original_quality": True, **_ONE}
    yield edit("fill", "gen_fill", image, mask_file=mask, prompt="a red kite", **_ONE)
    yield edit("scene", "background/replace", image, bg_prompt="on a beach", **scene)
    yield edit("reference", "background/replace", image, ref_image_file="coffee@140.png", **scene)
    padding = {"placement_type": "manual_padding", "padding_values": [20, 30, 40, 10], **_ONE}
    cut = "astronaut:cut@200.png"
    yield edit(
        "shot", "product/lifestyle_shot_by_text", cut, scene_description="a beach", **padding
    )
    by_image = {"ref_image_file": "coffee@140.png", "ref_image_influence": 0.5, **padding}
    yield edit("shot_like", "product/lifestyle_shot_by_image", cut, **by_image)
    yield edit("expansion", "image_expansion", image, canvas_size=[230, 160], seed=1)
    yield edit("remove", "background/remove", image)
    yield edit("eraser", "eraser", image, mask_file=mask)
    yield edit("masks", "objects/mask_generator", image)
    actions = {"expression": "happy", "age": "mid-60"}
    yield [
        Call("faces-register", "/v1/register", {"file": "faces.png"}),
        Call("faces-person_info", "/v1/{visual_id}/person/info", method="GET"),
        Call("faces-caption", "/v1/{visual_id}/caption", method="GET"),
        Call(
            "faces-create",
            "/v1/{visual_id}/create",
            fields={"changes": [{"id": "{person0}", "actions": actions}]},
        ),
    ]


def _descriptions(image: str) -> Sequence[Call]:
    """Return the calls that describe a registered picture."""
    name = image.partition("@")[0]
    calls = [Call(f"describe-{name}-register", "/v1/register", {"file": image})]
    for part in ("info", "person/info", "objects/info", "background/info"):
        short = part.replace("/", "_")
        calls.append(Call(f"describe-{name}-{short}", f"/v1/{{visual_id}}/{part}", method="GET"))
    return calls

"""Calls of every route with fixed pictures, fields and seeds; each answer and result is stored as a file.

Imports nothing of the server, so that the same calls run against any commit.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFilter

PHOTOS = Path(__file__).parents[1] / "docs" / "photos"
TOKEN = {"api_token": "compare"}
NAMES = ("astronaut", "coffee", "chelsea")

_PENDING = 404
_LINK = re.compile(r"https?://[^/]+/results/[^\"]+")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Call:
    """One request.

    route: below the server's root; {visual_id}, {sid} and {person} are replaced by values from answers to
    earlier calls of the same `Sequence`. files: base64 fields, each the name of a picture. query: fields
    of the query. form: sent as multipart instead of JSON.
    """

    name: str
    route: str
    files: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
    method: str = "POST"
    form: bool = False
    token: Mapping[str, str] = field(default_factory=lambda: TOKEN)


@cache
def picture(name: str) -> bytes:
    """Return the file of a picture by its name.

    `coffee` is the photograph itself; `coffee:cut@320.webp` is derived from it: cut, mask, mask half,
    grey, cmyk, deep, palette or turned, then the longest side, then the format.
    """
    match = re.fullmatch(r"(\w+)(?::([\w ]+))?(?:@(\d+))?(?:\.(\w+))?", name)
    assert match, name  # noqa: S101 - a mistake in the lists below
    base, change, side, format = match.groups()
    if base == "faces":
        image = _faces()
    elif base == name:
        return (PHOTOS / f"{base}.jpg").read_bytes()
    else:
        with Image.open(PHOTOS / f"{base}.jpg") as opened:
            image = opened.convert("RGB")
    if side:
        scale = int(side) / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    options: dict[str, Any] = {"quality": 92} if format in ("jpeg", "webp") else {}
    if change == "turned":
        options["exif"] = Image.Exif()
        options["exif"][274] = 6
    stream = BytesIO()
    _changed(image, change).save(stream, format or "png", **options)
    return stream.getvalue()


def _changed(image: Image.Image, change: str | None) -> Image.Image:
    width, height = image.size
    if change == "cut":
        alpha = Image.new("L", image.size)
        box = (width // 8, height // 10, width * 3 // 4, height * 9 // 10)
        ImageDraw.Draw(alpha).ellipse(box, fill=255)
        image.putalpha(alpha.filter(ImageFilter.GaussianBlur(3)))
    elif change == "mask":
        mask = Image.new("L", image.size)
        box = (width * 5 // 8, height // 8, width * 7 // 8, height * 3 // 8)
        ImageDraw.Draw(mask).ellipse(box, fill=255)
        return mask
    elif change == "half mask":
        return _changed(image, "mask").resize((width // 2, height // 2))
    elif change == "grey":
        return image.convert("L")
    elif change == "cmyk":
        return image.convert("CMYK")
    elif change == "deep":
        return image.convert("L").convert("I;16")
    elif change == "palette":
        return image.quantize(64, Image.Quantize.MEDIANCUT)
    return image


def _faces() -> Image.Image:
    """Return a picture in which the detector of profile `tiny` finds two faces."""
    image = Image.new("RGB", (320, 240), (40, 40, 40))
    for left in (64, 224):
        image.paste((255, 255, 255), (left, 64, left + 32, 96))
    return image


class Recorder:
    """Makes calls of one server and stores the answers and results in a folder.

    client: an httpx2 client or a similar one, with the base address of the server. pictures: returns the
    file of a picture by its name.
    """

    def __init__(
        self, client: Any, folder: Path, pictures: Callable[[str], bytes] = picture
    ) -> None:
        self._client = client
        self._folder = folder
        self._picture = pictures
        folder.mkdir(parents=True, exist_ok=True)

    def record(self, calls: Sequence[Call]) -> None:
        """Make calls in order; later ones may use values from answers to earlier ones."""
        known: dict[str, str] = {}
        for call in calls:
            answer = self._send(call, known)
            text = answer.text
            if "json" in answer.headers.get("content-type", ""):
                body = answer.json()
                _learn(known, body)
                text = json.dumps(body, indent=1)
            links = _LINK.findall(text)
            shown = _UUID.sub("UUID", _LINK.sub(_without_name, text))
            self._write(call.name, "json", f"{answer.status_code}\n{shown}\n".encode())
            for index, link in enumerate(links):
                self._store(f"{call.name}-{index}", link)

    def _send(self, call: Call, known: Mapping[str, str]) -> Any:
        route = call.route.format_map(known)
        fields = json.loads(_filled(json.dumps(call.fields), known))
        if call.form:
            parts = {name: (f"{name}.bin", self._picture(of)) for name, of in call.files.items()}
            form = {name: str(value) for name, value in fields.items()}
            return self._client.request(
                call.method, route, files=parts, data=form, headers=call.token
            )
        if call.method == "GET":
            return self._client.get(route, params=fields, headers=call.token)
        body = {
            name: base64.b64encode(self._picture(of)).decode() for name, of in call.files.items()
        }
        return self._client.request(call.method, route, json={**body, **fields}, headers=call.token)

    def _store(self, name: str, link: str) -> None:
        """Read a result as soon as it exists, and store it."""
        deadline = time.monotonic() + _TIMEOUT_S
        while (answer := self._client.get(link)).status_code == _PENDING:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name}: no result after {_TIMEOUT_S} s")
            time.sleep(0.1)
        kind = answer.headers["content-type"].partition(";")[0].rpartition("/")[2]
        extension = {"vnd.adobe.photoshop": "psd"}.get(kind, kind)
        self._write(name, extension, answer.content)

    def _write(self, name: str, extension: str, data: bytes) -> None:
        (self._folder / f"{name}.{extension}").write_bytes(data)


def _learn(known: dict[str, str], body: Any) -> None:
    if isinstance(body, dict):
        known.update({name: body[name] for name in ("visual_id", "sid") if name in body})
    elif isinstance(body, list):
        people = (entry["id"] for entry in body if entry.get("type") == "person")
        known.update({f"person{index}": one for index, one in enumerate(people)})


def _filled(text: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: known.get(found[1], found[1]), text)


def _without_name(link: re.Match[str]) -> str:
    return "LINK" + link[0].partition("?")[0].rpartition("/")[2]


def every_route() -> Iterator[Sequence[Call]]:
    """Yield the calls that take different paths through the server, on the three photographs."""
    for name in NAMES:
        yield from _of_picture(name)
        yield _of_visual(name)
    yield _of_visual("faces")
    yield from _generated()
    yield from _by_words()
    yield from _own_alpha()
    yield from _large()
    yield from _file_formats()
    yield _refusals()


def edit(name: str, route: str, image: str, **fields: Any) -> Sequence[Call]:
    """Return one call of an editing route; a field with the name of a file is a picture."""
    files = {"file": image}
    for file in ("mask_file", "ref_image_file"):
        if file in fields:
            files[file] = fields.pop(file)
    short = re.sub(r"[:@. ]", "_", image)
    return [Call(f"{name}-{short}", f"/v1/{route}", files, fields)]


def _of_picture(name: str) -> Iterator[Sequence[Call]]:
    small = f"{name}@320.png"
    yield edit("remove", "background/remove", name)
    yield edit("remove", "background/remove", small, content_moderation=True)
    for scale in (1, 5):
        yield edit(f"blur_{scale}", "background/blur", name, scale=scale)
    yield edit("blur", "background/blur", f"{name}@320.webp")
    colour = {"bg_prompt": "#c8d8e8", "sync": True, "seed": 3}
    yield edit("replace_colour", "background/replace", name, **colour, num_results=2)
    yield edit(
        "replace_colour_original",
        "background/replace",
        small,
        **{**colour, "bg_prompt": "tomato"},
        num_results=1,
        original_quality=True,
    )
    yield edit("crop", "crop", name)
    yield edit("crop_padding", "crop", name, padding=20)
    yield edit("product_cutout", "product/cutout", name, sku="A-1")
    yield edit("packshot", "product/packshot", name, background_color="#dfe8f0")
    for kind in ("regular", "float"):
        yield edit(f"shadow_{kind}", "product/shadow", small, type=kind)
    yield edit("eraser", "eraser", name, mask_file=f"{name}:mask.png")
    yield edit(
        "eraser_automatic",
        "eraser",
        small,
        mask_file=f"{name}:half mask@320.png",
        mask_type="automatic",
    )
    yield edit("erase_foreground", "erase_foreground", f"{name}@300.jpeg")
    yield edit(
        "expansion",
        "image_expansion",
        f"{name}@480.jpeg",
        canvas_size=[600, 520],
        seed=1,
        content_moderation=True,
    )
    yield edit(
        "expansion_placed",
        "image_expansion",
        small,
        canvas_size=[360, 300],
        original_image_size=[240, 180],
        original_image_location=[-20, 60],
        prompt="a meadow",
        negative_prompt="people",
        seed=2,
    )
    least = f"{name}@330"
    yield edit("increase_2", "image/increase_resolution", f"{least}.jpeg", desired_increase=2)
    yield edit("masks", "objects/mask_generator", name)


def _of_visual(name: str) -> Sequence[Call]:
    """Return the calls of all routes of a visual, its removal last."""
    image = f"{name}@340.jpeg" if name in NAMES else f"{name}.png"
    mask = base64.b64encode(picture(f"{name}:mask@340.png")).decode()
    drawn = f"data:image/png;base64,{mask}"
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("info", "GET", "info", {}),
        ("person_info", "GET", "person/info", {}),
        ("objects_info", "GET", "objects/info", {}),
        ("background_info", "GET", "background/info", {}),
        ("caption", "GET", "caption", {}),
        ("masks", "POST", "objects/mask_generator", {}),
        (
            "create",
            "POST",
            "create",
            {"changes": [{"id": "{person0}", "actions": {"expression": "happy", "age": "mid-60"}}]},
        ),
        (
            "create_more",
            "POST",
            "create",
            {
                "changes": [
                    {"id": "{person0}", "actions": {"haircolor": 2, "glasses": "heavy"}},
                    {"id": "{person1}", "actions": {"Beard": "full", "makeup": 3.5}},
                ]
            },
        ),
        ("psd", "POST", "image_to_psd", {}),
        (
            "objects_remove_drawn",
            "POST",
            "objects/remove",
            {"changes": [{"mask_url": drawn}], "desired_resolution": "svga"},
        ),
        (
            "objects_remove",
            "POST",
            "objects/remove",
            {"changes": [{"mask_id": 1, "actions": {"remove": True}}, {"mask_url": drawn}]},
        ),
        ("blur_bg", "GET", "blur_bg", {"scale": 3, "sid": "{sid}"}),
        *(
            [
                ("psd_of_result", "POST", "image_to_psd?sid={sid}", {}),
                ("increase", "GET", "increase_resolution", {"desired_increase": 2}),
            ]
            if name == "coffee"
            else []
        ),
        ("remove_image", "POST", "remove_image", {}),
        ("removed", "GET", "info", {}),
    ]
    calls = [Call(f"visual-{name}-register", "/v1/register", {"file": image})]
    for short, method, route, fields in steps:
        full = f"/v1/{{visual_id}}/{route}"
        calls.append(Call(f"visual-{name}-{short}", full, {}, fields, method))
    return calls


def _generated() -> Iterator[Sequence[Call]]:
    """Yield calls that need a generative model; `lite` refuses them."""
    for name in NAMES:
        small, mask = f"{name}@400.png", f"{name}:mask@400.png"
        prompt = {"prompt": "a red kite", "sync": True, "seed": 5}
        yield edit("fill", "gen_fill", small, mask_file=mask, **prompt, num_results=2)
        yield edit(
            "fill_automatic",
            "gen_fill",
            name,
            mask_file=f"{name}:half mask.png",
            **prompt,
            mask_type="automatic",
            negative_prompt="clouds",
            num_results=1,
        )
        scene = {"bg_prompt": "on a beach", "sync": True, "seed": 5, "original_quality": True}
        yield edit("scene", "background/replace", small, **scene, num_results=2)
        yield edit(
            "scene_slow",
            "background/replace",
            small,
            **scene,
            num_results=1,
            fast=False,
            refine_prompt=False,
            negative_prompt="people",
        )
        reference = {"ref_image_file": "coffee@200.png", "sync": True, "seed": 5, "num_results": 1}
        yield edit("reference", "background/replace", small, **reference)
        yield edit(
            "reference_as_sent",
            "background/replace",
            small,
            **reference,
            enhance_ref_image=False,
            original_quality=True,
        )


def _by_words() -> Iterator[Sequence[Call]]:
    """Yield calls that make a picture of words, or the structured text for one; `lite` refuses them."""
    waits = {"sync": True, "seed": 5}
    kite = {"prompt": "a red kite", **waits}
    text = {"structured_prompt": '{"short_description": "a red kite"}', **waits}
    for name, fields in (
        ("generate", kite),
        ("generate_again", text),
        ("generate_changed", {**text, "prompt": "make it blue"}),
        ("generate_wide", {**kite, "aspect_ratio": "16:10", "resolution": "4MP"}),
        ("generate_styled", {**kite, "style": "woodcut", "output_type": "jpeg"}),
    ):
        yield [Call(name, "/v2/image/generate", fields=fields)]
        yield [Call(f"{name}_lite", "/v2/image/generate/lite", fields=fields)]
    seen = {"images": "coffee@200.png"}
    yield [Call("generate_inspired", "/v2/image/generate", seen, waits)]
    yield [Call("structured_prompt", "/v2/structured_prompt/generate", seen, kite)]
    instruction = {"instruction": "make it red", **waits}
    yield [Call("structured_instruction", "/v2/structured_instruction/generate", seen, instruction)]


def _own_alpha() -> Iterator[Sequence[Call]]:
    """Yield calls with a picture that has an alpha channel."""
    cut = "astronaut:cut@320.png"
    yield edit("alpha_remove", "background/remove", cut)
    yield edit("alpha_crop", "crop", cut, padding=7, content_moderation=True)
    yield edit("alpha_packshot", "product/packshot", cut, background_color="transparent")
    yield edit("alpha_shadow", "product/shadow", cut, background_color="#FFFFFF", shadow_blur=30)
    yield edit("alpha_crop_forced", "crop", cut, force_rmbg=True)
    yield edit("alpha_blur", "background/blur", cut, scale=4)
    yield edit("alpha_blur_forced", "background/blur", "astronaut:cut@320.webp", force_rmbg=True)
    yield edit("alpha_eraser", "eraser", cut, mask_file="astronaut:mask@320.png")
    yield edit("alpha_erase_foreground", "erase_foreground", cut)
    yield edit("alpha_masks", "objects/mask_generator", cut)
    yield edit("alpha_expansion", "image_expansion", cut, canvas_size=[360, 340], seed=0)
    yield edit(
        "alpha_replace",
        "background/replace",
        cut,
        bg_prompt="navy",
        sync=True,
        seed=1,
        num_results=1,
        original_quality=True,
    )
    register = Call("alpha-register", "/v1/upload", {"file": cut})
    yield [register, Call("alpha-psd", "/v1/{visual_id}/image_to_psd")]
    yield edit("alpha_increase", "image/increase_resolution", "coffee:cut@330.png")


def _large() -> Iterator[Sequence[Call]]:
    """Yield calls with a picture so large that it is processed in windows, in tiles and at reduced size."""
    large = "astronaut@1400.jpeg"
    small = "coffee@330.png"
    yield edit("increase_4", "image/increase_resolution", small, desired_increase=4)
    yield edit("large_remove", "background/remove", large, content_moderation=True)
    yield edit("large_blur", "background/blur", large)
    yield edit("large_eraser", "eraser", large, mask_file="astronaut:mask@1400.png")
    yield edit("large_erase_foreground", "erase_foreground", "coffee@1100.jpeg")
    yield edit("large_masks", "objects/mask_generator", large)
    yield edit("large_expansion", "image_expansion", large, canvas_size=[1500, 900], seed=3)
    yield edit(
        "large_replace",
        "background/replace",
        large,
        bg_prompt="white",
        sync=True,
        seed=1,
        num_results=1,
    )


def _file_formats() -> Iterator[Sequence[Call]]:
    """Yield calls that return each file format as decoded, and all ways to send one."""
    for image in (
        "coffee:grey.jpeg",
        "coffee:cmyk.jpeg",
        "coffee:turned@300.jpeg",
        "coffee:deep@300.png",
        "coffee:palette@300.png",
        "coffee@300.webp",
        "coffee:grey@300.png",
    ):
        size = {"canvas_size": [200, 200], "original_image_size": [200, 200], "seed": 0}
        yield edit("decoded", "image_expansion", image, **size)
    parts = {"file": "chelsea", "mask_file": "chelsea:mask.png"}
    yield [Call("multipart_eraser", "/v1/eraser", parts, {"content_moderation": "true"}, form=True)]
    yield [Call("later_crop", "/v1/crop", {"file": "chelsea"}, {"sync": False, "padding": 3})]


def _refusals() -> Sequence[Call]:
    small = "chelsea@200.png"
    return [
        Call("openapi", "/openapi.json", method="GET"),
        Call("refused_token", "/v1/crop", {"file": small}, token={"api_token": ""}),
        Call("refused_no_picture", "/v1/crop"),
        Call("refused_field", "/v1/crop", {"file": small}, {"padding": -1}),
        Call("refused_scale", "/v1/background/blur", {"file": small}, {"scale": "six"}),
        Call("refused_small", "/v1/image/increase_resolution", {"file": small}),
        Call("refused_mask", "/v1/eraser", {"file": small, "mask_file": "astronaut:mask@90.png"}),
        Call("refused_visual", "/v1/0123456789abcdef/info", method="GET"),
        Call("refused_route", "/v1/nothing"),
        Call(
            "refused_canvas",
            "/v1/image_expansion",
            {"file": small},
            {"canvas_size": [300, 300], "original_image_location": [400, 0], "seed": 0},
        ),
        Call("refused_two", "/v1/background/replace", {"file": small}, {"bg_prompt": ""}),
    ]

"""`retouch smoke`: call every route of a running server once, and store the results and a sheet of them."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import httpx2 as httpx
import typer
from PIL import Image, ImageDraw

from retouch.chequerboard import on_chequerboard
from retouch.failures import fail

app = typer.Typer(add_completion=False, rich_markup_mode=None)

PHOTOS = Path(__file__).parents[1] / "docs" / "photos"
THUMBNAIL = 320
PENDING = 404
CANNOT = 506
"""The status if profile or picture do not allow the request, which is not a failure."""


@dataclass(frozen=True)
class Call:
    """One request: its route, photograph and fields."""

    name: str
    route: str
    photo: str = "astronaut"
    fields: dict[str, str] = field(default_factory=dict)
    mask: str | None = None
    of_visual: bool = False


CALLS = (
    Call("background_remove", "background/remove"),
    Call("background_remove_cat", "background/remove", "chelsea"),
    Call("background_blur", "background/blur"),
    Call(
        "background_replace",
        "background/replace",
        fields={"bg_prompt": "#c8d8e8", "sync": "true", "num_results": "1"},
    ),
    Call("crop", "crop", fields={"padding": "20"}),
    Call("eraser", "eraser", mask="astronaut-mask"),
    Call("erase_foreground", "erase_foreground"),
    Call("erase_foreground_cup", "erase_foreground", "coffee"),
    Call(
        "image_expansion",
        "image_expansion",
        "coffee",
        {"canvas_size": "[1000,700]", "seed": "1"},
    ),
    Call("image_increase_resolution", "image/increase_resolution?desired_increase=2", "chelsea"),
    Call("objects_mask_generator", "objects/mask_generator", "coffee"),
    Call(
        "gen_fill",
        "gen_fill",
        mask="astronaut-mask",
        fields={"prompt": "a window", "num_results": "2"},
    ),
    Call(
        "background_replace_scene",
        "background/replace",
        fields={"bg_prompt": "on a beach at sunset", "sync": "true", "num_results": "1"},
    ),
    Call("info", "{visual_id}/info", of_visual=True),
    Call("person_info", "{visual_id}/person/info", of_visual=True),
    Call("create", "{visual_id}/create", of_visual=True),
    Call("image_to_psd", "{visual_id}/image_to_psd", of_visual=True),
)


def send(client: httpx.Client, call: Call, photos: Path) -> httpx.Response:
    """Send one call; of a visual, its photograph is registered first. photos: the folder of them."""
    files = {"file": (photos / f"{call.photo}.jpg").read_bytes()}
    if not call.of_visual:
        if call.mask:
            files["mask_file"] = (photos / f"{call.mask}.png").read_bytes()
        return client.post(call.route, files=files, data=call.fields)
    visual_id = client.post("register", files=files).raise_for_status().json()["visual_id"]
    route = call.route.format(visual_id=visual_id)
    if call.name == "create":
        people = client.get(f"{visual_id}/person/info").raise_for_status().json()
        changes = [{"id": person["id"], "actions": {"expression": "happy"}} for person in people]
        return client.post(
            route, json={"changes": changes or [{"id": "none", "actions": {"age": 1}}]}
        )
    return client.request("GET" if route.endswith("info") else "POST", route)


def link_in(answer: Any) -> str | None:
    """Return the first link in an answer of any shape."""
    if isinstance(answer, str):
        return answer if answer.startswith("http") else None
    parts = answer.values() if isinstance(answer, dict) else answer
    if not isinstance(answer, dict | list):
        return None
    return next((link for link in map(link_in, parts) if link), None)


def read(link: str) -> httpx.Response:
    """Read a result; wait for it one minute at most."""
    for _ in range(120):
        answer = httpx.get(link)
        if answer.status_code != PENDING:
            return answer
        time.sleep(0.5)
    return answer


def thumbnail(data: bytes, title: str) -> Image.Image:
    """Return a small picture of a result on a chequerboard, with its title above."""
    image = Image.open(BytesIO(data)).convert("RGBA")
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    card = Image.new("RGB", (THUMBNAIL, THUMBNAIL + 16), "white")
    ImageDraw.Draw(card).text((4, 2), title, fill="black")
    card.paste(on_chequerboard(image), (0, 16))
    return card


@app.command()
def smoke(
    address: Annotated[str, typer.Argument(help="The server.")] = "http://127.0.0.1:8000",
    token: Annotated[str, typer.Argument(help="A token of it.")] = "smoke",  # noqa: S107 - any
    folder: Annotated[Path, typer.Argument(help="Where the results go.")] = Path("data/smoke"),
    photos: Annotated[
        Path, typer.Option(help="The folder of the photographs; a checkout has it.")
    ] = PHOTOS,
) -> None:
    """Call every route of a running server and save the results. Status 1: some calls failed."""
    missing = [
        f"{call.photo}.jpg" for call in CALLS if not (photos / f"{call.photo}.jpg").is_file()
    ]
    if missing:
        raise fail(f"{photos}: {missing[0]} is missing: name the folder with --photos", 2)
    folder.mkdir(parents=True, exist_ok=True)
    headers = {"api_token": token}
    try:
        with httpx.Client(base_url=f"{address}/v1/", headers=headers, timeout=120) as client:
            results, failed = _call_all(client, photos)
    except httpx.HTTPError as error:
        raise fail(f"{address}: {error}") from None
    for name, data in results.items():
        (folder / name).write_bytes(data)
    pictures = [name for name in results if not name.endswith(".zip")]
    _sheet([thumbnail(results[name], Path(name).stem) for name in pictures]).save(
        folder / "sheet.png"
    )
    typer.echo(f"the pictures are in {folder}")
    raise typer.Exit(1 if failed else 0)


def _call_all(client: httpx.Client, photos: Path) -> tuple[dict[str, bytes], int]:
    """Make every call and print how it went; return the results by file name, and how many calls failed."""
    results: dict[str, bytes] = {}
    failed = 0
    for call in CALLS:
        start = time.monotonic()
        answer = send(client, call, photos)
        link = link_in(answer.json()) if answer.is_success else None
        seconds = time.monotonic() - start
        succeeded = answer.status_code in (httpx.codes.OK, CANNOT)
        failed += not succeeded
        word = "ok " if succeeded else "BAD"
        typer.echo(f"{word} {answer.status_code} {seconds:6.2f} s  {call.name}")
        if not answer.is_success:
            typer.echo(answer.text, err=True)
        if link:
            result = read(link)
            kind = result.headers["content-type"].rpartition("/")[2]
            extension = {"zip": "zip", "vnd.adobe.photoshop": "psd"}.get(kind, kind)
            results[f"{call.name}.{extension}"] = result.content
    return results, failed


def _sheet(cards: Sequence[Image.Image]) -> Image.Image:
    """Return all thumbnails in one picture, four in a row."""
    columns = 4
    rows = max(1, -(-len(cards) // columns))
    sheet = Image.new("RGB", (columns * THUMBNAIL, rows * (THUMBNAIL + 16)), "white")
    for index, card in enumerate(cards):
        place = (index % columns * THUMBNAIL, index // columns * (THUMBNAIL + 16))
        sheet.paste(card, place)
    return sheet

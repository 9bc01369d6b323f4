"""What `retouch parity` sends: each operation with each picture of a folder, and a few requests that are wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from retouch.edit.plan import PICTURES

Mode = Literal["async", "sync"]
DEFAULT_OPERATIONS = ("v2/*", "v1/product/*")
"""What the hosted API still serves: the rest of its version 1 ended in November 2025."""
MASK_ENDING = "-mask"
_NOT_A_PICTURE = b"This is a text and no picture."
_NO_HOST = "http://picture.invalid/picture.jpg"


@dataclass(frozen=True)
class Operation:
    """A route that needs nothing but a picture, and perhaps a mask. fields: what else is sent to it."""

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    needs_mask: bool = False
    modes: tuple[Mode, ...] = ("async", "sync")


OPERATIONS = (
    Operation("v2/image/edit/remove_background"),
    Operation("v2/image/edit/blur_background", {"scale": 3}),
    Operation("v2/image/edit/crop_foreground", {"padding": 20}),
    Operation("v2/image/edit/erase_foreground"),
    Operation("v2/image/edit/replace_background", {"prompt": "#1e90ff", "seed": 1}),
    Operation("v2/image/edit/expand", {"aspect_ratio": "16:9", "seed": 1}),
    Operation("v2/image/edit/increase_resolution", {"desired_increase": 2}),
    Operation("v2/image/edit/enhance", {"seed": 1}, modes=("async",)),
    Operation("v2/image/edit/erase", needs_mask=True),
    Operation("v2/image/edit/product/cutout"),
    Operation("v2/image/segment/all_masks"),
    Operation("v1/background/remove"),
    Operation("v1/background/blur", {"scale": 3}),
    Operation("v1/background/replace", {"bg_prompt": "#1e90ff", "num_results": 1}),
    Operation("v1/crop", {"padding": 20}),
    Operation("v1/erase_foreground"),
    Operation("v1/image_expansion", {"canvas_size": [1000, 1000], "seed": 1}),
    Operation("v1/image/increase_resolution?desired_increase=2"),
    Operation("v1/eraser", needs_mask=True),
    Operation("v1/objects/mask_generator"),
    Operation("v1/product/cutout", modes=("sync",)),
    Operation("v1/product/packshot", modes=("sync",)),
    Operation("v1/product/shadow", modes=("sync",)),
)


@dataclass(frozen=True)
class Case:
    """One request. fields: a Path or bytes among them is a picture. status: what a wrong request should get."""

    name: str
    operation: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    picture: Path | None = None
    status: int | None = None
    is_get: bool = False
    has_wrong_token: bool = False


def chosen(patterns: Sequence[str]) -> list[Operation]:
    """Return the operations whose path matches a pattern such as `v2/*`; raises ValueError for one without any."""
    for pattern in patterns:
        if not any(_matches(one, pattern) for one in OPERATIONS):
            known = ", ".join(_path(one) for one in OPERATIONS)
            raise ValueError(f"{pattern}: there is no such operation. There are: {known}")
    return [one for one in OPERATIONS if any(_matches(one, pattern) for pattern in patterns)]


def pictures_in(folder: Path, limit: int) -> dict[Path, Path | None]:
    """Return the first pictures of a folder in the order of their names, each with its mask if it has one.

    The mask of `NAME.jpg` is `NAME-mask.png`, in the same folder. Raises OSError.
    """
    names = sorted(one for one in folder.iterdir() if one.suffix.lower() in PICTURES)
    files = [one for one in names if one.is_file() and not one.name.startswith(".")]
    masks = {one.stem.removesuffix(MASK_ENDING): one for one in files if _is_mask(one)}
    pictures = (one for one in files if not _is_mask(one))
    return {one: masks.get(one.stem) for one in islice(pictures, limit)}


def make_plan(
    operations: Sequence[Operation],
    pictures: Mapping[Path, Path | None],
    modes: Sequence[Mode],
    *,
    has_refusals: bool = True,
) -> list[Case]:
    """Return the requests to each server, in order."""
    edits = [
        case
        for operation in operations
        for picture, mask in pictures.items()
        for case in _edits(operation, picture, mask, modes)
    ]
    return [*edits, *(_refusals(operations) if has_refusals else ())]


def _edits(
    operation: Operation, picture: Path, mask: Path | None, modes: Sequence[Mode]
) -> Iterator[Case]:
    if operation.needs_mask and mask is None:
        return
    # A mode that the route does not have is left out, unless it would then not be called at all.
    for mode in [one for one in modes if one in operation.modes] or operation.modes[:1]:
        masked = {"mask": mask} if operation.needs_mask else {}
        has_choice = len(operation.modes) > 1
        told = {"sync": mode == "sync"} if has_choice else {}
        fields = {"image": picture, **masked, **operation.fields, **told}
        name = f"{_path(operation)} {mode} {picture.name}"
        yield Case(name, operation.path, fields, picture)


def _refusals(operations: Sequence[Operation]) -> Iterator[Case]:
    """Yield requests that are wrong, of each version that is compared; none of them starts any work."""
    for version in ("v2", "v1"):
        path = next((one.path for one in operations if one.path.startswith(f"{version}/")), None)
        if path is None:
            continue
        text, address = {"image": _NOT_A_PICTURE}, {"image": _NO_HOST}
        yield Case(f"{version}: no picture", path, {}, status=400)
        yield Case(f"{version}: a picture that is none", path, text, status=415)
        yield Case(f"{version}: an address without a host", path, address, status=460)
        yield Case(f"{version}: a wrong token", path, text, status=401, has_wrong_token=True)
        yield Case(f"{version}: an unknown route", f"{version}/no/such/route", text, status=404)
        if version == "v2":
            state = f"v2/status/{'0' * 32}"
            yield Case("v2: the state of an unknown request", state, status=404, is_get=True)


def _path(operation: Operation) -> str:
    return operation.path.partition("?")[0]


def _matches(operation: Operation, pattern: str) -> bool:
    return fnmatchcase(_path(operation), pattern.strip("/"))


def _is_mask(path: Path) -> bool:
    return path.stem.endswith(MASK_ENDING)

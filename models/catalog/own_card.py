"""Cards of a user's own, made from tables of a profile file: a matting network in an ONNX file.

    matting = "my-matting"

    [cards.my-matting]
    role = "matting"                   # a table with a role makes a new card
    path = "isnet.onnx"                # the file, relative to the profile; or, instead of it:
    # repo, revision, file, sha256     # a file of a Hugging Face repository at a commit
    size = 1024                        # side of the network's square input, in pixels
    mean = [0.5, 0.5, 0.5]             # of R, G and B in 0..1; by default ImageNet's
    std = [1.0, 1.0, 1.0]
    output = "matte"                   # by default the first output
    sigmoid = false                    # whether the output still needs the sigmoid
    memory_mb = 2000                   # of the loaded network with one call; by default 5000

The file itself is checked when the model is loaded, at the start (`models.runtime.pool`).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from models.catalog.card import Card
from models.catalog.source import Hub, LocalFolder, WeightFile
from models.errors import UnknownProfileError
from models.roles import MATTING

_REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
_FILE = r"(?!.*(^|/)\.\.?(/|$))[^/\\][^\\]*\.onnx"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Share = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]
Deviation = Annotated[float, Field(gt=0, le=10, allow_inf_nan=False)]


class OwnMatting(BaseModel):
    """A `[cards.NAME]` table with a role."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["matting"]
    path: Annotated[str, Field(min_length=1)] | None = None
    repo: Annotated[str, Field(pattern=rf"^{_REPO}$")] | None = None
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")] | None = None
    file: Annotated[str, Field(max_length=500)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    size: Annotated[int, Field(ge=32, le=4096)] | None = None
    mean: Annotated[list[Share], Field(min_length=3, max_length=3)] | None = None
    std: Annotated[list[Deviation], Field(min_length=3, max_length=3)] | None = None
    output: Annotated[str, Field(min_length=1)] | None = None
    sigmoid: bool = False
    memory_mb: Annotated[int, Field(ge=1)] = 5000

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pinned = (self.repo, self.revision, self.file, self.sha256)
        if (self.path is None) == (None in pinned) or (self.path and any(pinned)):
            raise ValueError(
                "needs either path, or all of repo, revision (a commit), file and sha256"
            )
        if self.file is not None and not re.fullmatch(_FILE, self.file):
            raise ValueError("file must be the path of an .onnx file in the repository")
        return self


def own_card(profile: Path, name: str, table: Mapping[str, Any]) -> Card:
    """Return the card that a table of the file `profile` describes; raises UnknownProfileError."""
    if not _NAME.fullmatch(name):
        raise UnknownProfileError(
            f"profile {profile}: [cards.{name}]: the name of a card has letters, digits and . _ -"
        )
    try:
        row = OwnMatting.model_validate(dict(table))
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors(include_url=False)))
        raise UnknownProfileError(f"profile {profile}: [cards.{name}]: {problems}") from error
    options = {
        "logits": row.sigmoid,
        "side": row.size,
        "mean": row.mean and tuple(row.mean),
        "std": row.std and tuple(row.std),
        "output": row.output,
    }
    card = Card(
        role=MATTING,
        name=name,
        backend="models.backends.onnx.matting:OnnxMatting",
        files=(),
        licence="weights of your own; onnxruntime MIT",
        memory_mb=row.memory_mb,
        exclusive=True,
        own=True,
        options=tuple((key, value) for key, value in options.items() if value is not None),
    )
    return _with_source(profile, card, row)


def _with_source(profile: Path, card: Card, row: OwnMatting) -> Card:
    """Return the card with its weights: the user's file, or one that is fetched and checked."""
    if row.path is not None:
        path = profile.absolute().parent / Path(row.path).expanduser()
        return replace(card, folders=(LocalFolder(path),))
    source = Hub(str(row.repo), str(row.revision), str(row.file))
    stored_as = f"{source.repo}/{source.path}".replace("/", "--")
    return replace(card, files=(WeightFile(stored_as, str(row.sha256), None, (source,)),))


def _problem(error: Any) -> str:
    """Return one of pydantic's errors in plain English, with the name of the key."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{key} is not a key of such a table"
    if error["type"] == "string_pattern_mismatch":
        return f"{key} is malformed"
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{key}: {text}" if key else text

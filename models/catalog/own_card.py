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

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.catalog.card import Card
from models.catalog.source import Hub, LocalFolder, WeightFile
from models.errors import UnknownProfileError
from models.roles import MATTING

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SOURCES = ("repo", "revision", "file", "sha256")
_DEFAULT_MEMORY_MB = 5000


def _text(pattern: str = r"(?s:.+)") -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _whole(least: int, most: float = math.inf) -> Callable[[Any], bool]:
    # A boolean is an integer in Python.
    return lambda value: type(value) is int and least <= value <= most


def _three(is_right: Callable[[float], bool]) -> Callable[[Any], bool]:
    return lambda value: (
        isinstance(value, list)
        and len(value) == 3
        and all(type(number) in (int, float) and is_right(number) for number in value)
    )


# Checked without pydantic: the catalog is read before anything is installed.
_KEYS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "role": (_text(MATTING.name), f"'{MATTING.name}', the only role of a card of your own"),
    "path": (_text(), "the path of an .onnx file"),
    "repo": (_text(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"), "a repository, owner/name"),
    "revision": (_text("[0-9a-f]{40}"), "a commit, 40 hexadecimal digits"),
    "file": (
        _text(r"(?!.*(^|/)\.\.?(/|$))[^/\\][^\\]{0,500}\.onnx"),
        "the path of an .onnx file in the repository",
    ),
    "sha256": (_text("[0-9a-f]{64}"), "64 hexadecimal digits"),
    "size": (_whole(32, 4096), "a whole number from 32 to 4096"),
    "mean": (_three(lambda number: -10 <= number <= 10), "three numbers from -10 to 10"),
    "std": (_three(lambda number: 0 < number <= 10), "three numbers above 0, at most 10"),
    "output": (_text(), "the name of an output"),
    "sigmoid": (lambda value: isinstance(value, bool), "true or false"),
    "memory_mb": (_whole(1), "a whole number of at least 1"),
}
"""By key of the table: whether a value is right, and what it must be."""


def own_card(profile: Path, name: str, table: Mapping[str, Any]) -> Card:
    """Return the card that a table of the file `profile` describes; raises UnknownProfileError."""
    if not _NAME.fullmatch(name):
        raise UnknownProfileError(
            f"profile {profile}: [cards.{name}]: the name of a card has letters, digits and . _ -"
        )
    if problems := "; ".join(_problems(table)):
        raise UnknownProfileError(f"profile {profile}: [cards.{name}]: {problems}")
    options = {
        "logits": table.get("sigmoid", False),
        "side": table.get("size"),
        "mean": tuple(table.get("mean", ())),
        "std": tuple(table.get("std", ())),
        "output": table.get("output"),
    }
    card = Card(
        role=MATTING,
        name=name,
        backend="models.backends.onnx.matting:OnnxMatting",
        files=(),
        licence="weights of your own; onnxruntime MIT",
        memory_mb=table.get("memory_mb", _DEFAULT_MEMORY_MB),
        exclusive=True,
        own=True,
        options=tuple((key, value) for key, value in options.items() if value not in (None, ())),
    )
    return _with_source(profile, card, table)


def _with_source(profile: Path, card: Card, table: Mapping[str, Any]) -> Card:
    """Return the card with its weights: the user's file, or one that is fetched and checked."""
    if "path" in table:
        path = profile.absolute().parent / Path(table["path"]).expanduser()
        return replace(card, folders=(LocalFolder(path),))
    source = Hub(table["repo"], table["revision"], table["file"])
    stored_as = f"{source.repo}/{source.path}".replace("/", "--")
    return replace(card, files=(WeightFile(stored_as, table["sha256"], None, (source,)),))


def _problems(table: Mapping[str, Any]) -> list[str]:
    """Return what is wrong in a table, in plain English, each with the name of the key."""
    found = [f"{key} is not a key of such a table" for key in table if key not in _KEYS]
    for key, (is_right, must_be) in _KEYS.items():
        if key in table and not is_right(table[key]):
            found.append(f"{key} must be {must_be}")
    given = [key for key in _SOURCES if key in table]
    if ("path" in table) == bool(given) or len(given) not in (0, len(_SOURCES)):
        found.append("needs either path, or all of repo, revision (a commit), file and sha256")
    return found

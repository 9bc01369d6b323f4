"""Profiles: TOML files that choose a card for each role, ours and the user's own.

A file of the user's own may start from one of ours and change rows:

    base = "open"
    matting = "birefnet-onnx"
    captioning = false

    [cards.sdxl-fill]
    path = "/models/my-inpainting"

    [repos."briaai/BRIA-2.3"]
    revision = "<commit>"

`[cards.NAME]` changes where a card's weights come from (its first folder; its files where it has no
folder), `[repos."org/name"]` a repository wherever a card uses it. `path` is relative to the file.
`[replicas.ROLE]` says how a cluster runs a role (`models.runtime.ray.plan`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.catalog.card import Card, Profile, by_name
from models.catalog.registry import CARDS
from models.catalog.source import Folder, HubFolder, LocalFolder
from models.errors import UnknownProfileError
from models.roles import ROLES, Role

PROFILES = Path(__file__).parent / "profiles"


def profile_names() -> list[str]:
    """Names of the profiles there are."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str, folder: Path = PROFILES) -> Profile:
    """Read which card plays each role; raises UnknownProfileError.

    name: of a profile in `folder`, or the path of a file of the user's own, which ends in `.toml`.
    """
    cards = by_name(CARDS)
    if name.endswith(".toml"):
        return _own(Path(name).expanduser(), cards, folder)
    rows = _named(name, folder)
    rows.pop("replicas", None)
    return _roles(name, rows, cards)


def replicas_of(name: str, folder: Path = PROFILES) -> dict[str, dict[str, Any]]:
    """Read the `[replicas.ROLE]` tables of a profile, those of its base below its own, unchecked.

    Raises UnknownProfileError where they are no tables.
    """
    own = name.endswith(".toml")
    rows = _read(Path(name).expanduser()) if own else _named(name, folder)
    tables = rows.get("replicas", {})
    if not isinstance(tables, dict) or not all(isinstance(row, dict) for row in tables.values()):
        raise UnknownProfileError(f"profile {name}: [replicas.ROLE] is a table for each role")
    base = replicas_of(str(rows["base"]), folder) if own and "base" in rows else {}
    return {role: {**base.get(role, {}), **tables.get(role, {})} for role in {**base, **tables}}


def _named(name: str, folder: Path) -> dict[str, Any]:
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise UnknownProfileError(f"no profile {name!r}; there are: {', '.join(known)}")
    return _read(folder / f"{name}.toml")


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UnknownProfileError(f"profile {path}: {error}") from error


def _own(path: Path, cards: dict[str, Card], folder: Path) -> Profile:
    rows = _read(path)
    changes = {kind: rows.pop(kind, {}) for kind in ("cards", "repos")}
    base = rows.pop("base", None)
    if base is not None:
        rows = {**_named(str(base), folder), **rows}
    rows.pop("replicas", None)
    cards = dict(cards)
    for name, change in _tables(path, "cards", changes["cards"]):
        if name not in cards:
            raise UnknownProfileError(f"profile {path}: no such card: {name}")
        cards[name] = _moved(path, cards[name], change)
    for repo, change in _tables(path, "repos", changes["repos"]):
        _change_repo(path, cards, repo, change)
    return _roles(str(path), rows, cards)


def _tables(path: Path, kind: str, tables: Any) -> list[tuple[str, Mapping[str, str]]]:
    """Check the tables of one kind: each gives a path or a revision, or both."""
    if not isinstance(tables, dict):
        raise UnknownProfileError(f"profile {path}: {kind} is not a table")
    for name, change in tables.items():
        if not isinstance(change, dict) or not change or change.keys() - {"path", "revision"}:
            raise UnknownProfileError(f"profile {path}: [{kind}.{name}] gives path or revision")
        if not all(isinstance(value, str) for value in change.values()):
            raise UnknownProfileError(
                f"profile {path}: [{kind}.{name}]: path and revision are texts"
            )
    return list(tables.items())


def _moved(profile: Path, card: Card, change: Mapping[str, str]) -> Card:
    """Return a card whose weights come from where a row of `[cards]` says."""
    if card.folders:
        first = _changed(profile, card.name, card.folders[0], change)
        return replace(card, folders=(first, *card.folders[1:]))
    if "path" not in change or not card.files:
        raise UnknownProfileError(
            f"profile {profile}: [cards.{card.name}] can be given no such row"
        )
    path = _absolute(profile, change["path"])
    alone = len(card.files) == 1 and not path.is_dir()
    paths = [path] if alone else [path / file.name for file in card.files]
    return replace(card, files=(), folders=tuple(map(LocalFolder, paths)))


def _changed(profile: Path, name: str, folder: Folder, change: Mapping[str, str]) -> Folder:
    if "path" in change:
        return LocalFolder(_absolute(profile, change["path"]))
    if not isinstance(folder, HubFolder):
        raise UnknownProfileError(
            f"profile {profile}: {name} comes from no hub, so has no revision"
        )
    return replace(folder, revision=change["revision"])


def _absolute(profile: Path, path: str) -> Path:
    return profile.absolute().parent / Path(path).expanduser()


def _change_repo(
    profile: Path, cards: dict[str, Card], repo: str, change: Mapping[str, str]
) -> None:
    found = False
    for name, card in cards.items():
        folders = tuple(
            _changed(profile, repo, folder, change)
            if isinstance(folder, HubFolder) and folder.repo == repo
            else folder
            for folder in card.folders
        )
        if folders != card.folders:
            found = True
            cards[name] = replace(card, folders=folders)
    if not found:
        raise UnknownProfileError(f"profile {profile}: no card uses the repository {repo}")


def _roles(name: str, rows: dict[str, Any], cards: Mapping[str, Card]) -> Profile:
    profile: dict[Role[Any], Card] = {}
    rows = dict(rows)
    for role in ROLES:
        chosen = rows.pop(role.name, False)
        if chosen is False:  # the row may be there to take the base's away
            continue
        card = cards.get(chosen) if isinstance(chosen, str) else None
        if card is None or card.role != role:
            fitting = ", ".join(known.name for known in cards.values() if known.role == role)
            raise UnknownProfileError(
                f"profile {name}: {role} names no card of that role: {chosen!r};"
                f" there are: {fitting}"
            )
        profile[role] = card
    if rows:
        raise UnknownProfileError(f"profile {name}: no such role: {', '.join(rows)}")
    if not profile:
        raise UnknownProfileError(f"profile {name} chooses no card")
    return profile

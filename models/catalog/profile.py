"""Profiles: TOML files that choose a card for each role.

Some are built in; users can write their own. A user's file may start from a built-in profile and
change some rows:

    base = "open"
    matting = "birefnet-onnx"
    captioning = false

    [cards.sdxl-fill]
    path = "/models/my-inpainting"

    [repos."briaai/BRIA-2.3"]
    revision = "<commit>"

`[cards.NAME]` changes the source of a card's weights: its first folder, or its files if it has no
folder. With a role in it, it makes a new card (`models.catalog.own_card`). `[repos."org/name"]`
changes a repository for every card that uses it. `path` is relative to the file. A pipeline from a
`path` is used with its own VAE, not with the card's. `[replicas.ROLE]` sets how a cluster runs a role
(`models.runtime.ray.plan`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from models.catalog.card import Card, Profile, by_name
from models.catalog.own_card import own_card
from models.catalog.registry import CARDS
from models.catalog.source import Folder, HubFolder, LocalFolder, MadeFolder
from models.errors import UnknownProfileError
from models.roles import ROLES, Role

PROFILES = Path(__file__).parent / "profiles"


def profile_names() -> list[str]:
    """Return the names of the built-in profiles."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def profile_title(name: str) -> str:
    """Return the name under which callers know a profile: for a user's own file its file name."""
    return Path(name).name if name.endswith(".toml") else name


@cache
def profiles_with(role: Role[Any]) -> tuple[str, ...]:
    """Return the built-in profiles that have a model for a role, those without gated weights first.

    Profiles of random weights are left out, because their results show nothing useful. The files are read
    once: callers who ask for what their server cannot do call this, as often as they like.
    """
    gated: dict[str, bool] = {}
    for name in profile_names():
        profile = load_profile(name)
        parts = [part for card in profile.values() for part in card.parts]
        if role in profile and not any(isinstance(part, MadeFolder) for part in parts):
            gated[name] = any(isinstance(part, HubFolder) and part.gated for part in parts)
    return tuple(sorted(gated, key=lambda name: (gated[name], name)))


def load_profile(name: str, folder: Path = PROFILES) -> Profile:
    """Return the card of each role; raises UnknownProfileError.

    name: a profile in `folder`, or the path of a user's own file, which ends in `.toml`.
    """
    cards = by_name(CARDS)
    if name.endswith(".toml"):
        return _load_file(Path(name).expanduser(), cards, folder)
    rows = _read_builtin(name, folder)
    rows.pop("replicas", None)
    return _choose_cards(name, rows, cards)


def replicas_of(name: str, folder: Path = PROFILES) -> dict[str, dict[str, Any]]:
    """Return the `[replicas.ROLE]` tables of a profile.

    Its own rows have precedence over its base's. Rows are not checked. Raises UnknownProfileError
    if an entry is not a table.
    """
    own = name.endswith(".toml")
    rows = _read(Path(name).expanduser()) if own else _read_builtin(name, folder)
    tables = rows.get("replicas", {})
    if not isinstance(tables, dict) or not all(isinstance(row, dict) for row in tables.values()):
        raise UnknownProfileError(f"profile {name}: [replicas.ROLE] must be a table for each role")
    base = replicas_of(str(rows["base"]), folder) if own and "base" in rows else {}
    return {role: {**base.get(role, {}), **tables.get(role, {})} for role in {**base, **tables}}


def _read_builtin(name: str, folder: Path) -> dict[str, Any]:
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


def _load_file(path: Path, cards: dict[str, Card], folder: Path) -> Profile:
    """Load a user's own profile file."""
    rows = _read(path)
    changes = {kind: rows.pop(kind, {}) for kind in ("cards", "repos")}
    base = rows.pop("base", None)
    if base is not None:
        rows = {**_read_builtin(str(base), folder), **rows}
    rows.pop("replicas", None)
    cards = dict(cards)
    for name, table in _own_tables(path, changes["cards"]).items():
        if name in cards:
            raise UnknownProfileError(f"profile {path}: [cards.{name}]: the name is taken")
        cards[name] = own_card(path, name, table)
        changes["cards"].pop(name)
    for name, change in _tables(path, "cards", changes["cards"]):
        if name not in cards:
            raise UnknownProfileError(
                f"profile {path}: no such card: {name}; a card of your own needs a role"
            )
        cards[name] = _change_card(path, cards[name], change)
    for repo, change in _tables(path, "repos", changes["repos"]):
        _change_repo(path, cards, repo, change)
    return _choose_cards(str(path), rows, cards)


def _own_tables(path: Path, tables: Any) -> dict[str, Mapping[str, Any]]:
    """Return the tables that describe new cards: those with a role."""
    if not isinstance(tables, dict):
        raise UnknownProfileError(f"profile {path}: cards is not a table")
    return {
        name: table for name, table in tables.items() if isinstance(table, dict) and "role" in table
    }


def _tables(path: Path, kind: str, tables: Any) -> list[tuple[str, Mapping[str, str]]]:
    """Check the tables of one kind. Each must have a path or a revision, or both."""
    if not isinstance(tables, dict):
        raise UnknownProfileError(f"profile {path}: {kind} is not a table")
    for name, change in tables.items():
        if not isinstance(change, dict) or not change or change.keys() - {"path", "revision"}:
            raise UnknownProfileError(
                f"profile {path}: [{kind}.{name}] takes only path and revision"
            )
        if not all(isinstance(value, str) for value in change.values()):
            raise UnknownProfileError(
                f"profile {path}: [{kind}.{name}]: path and revision must be strings"
            )
    return list(tables.items())


def _change_card(profile: Path, card: Card, change: Mapping[str, str]) -> Card:
    """Return the card with its weights from the source that a `[cards]` table names."""
    if card.folders:
        first = _change_folder(profile, card.name, card.folders[0], change)
        return _with_own_vae(replace(card, folders=(first, *card.folders[1:])))
    if "path" not in change or not card.files:
        raise UnknownProfileError(f"profile {profile}: [cards.{card.name}] cannot have such a row")
    path = _absolute(profile, change["path"])
    is_file = len(card.files) == 1 and not path.is_dir()
    paths = [path] if is_file else [path / file.name for file in card.files]
    return replace(card, files=(), folders=tuple(map(LocalFolder, paths)))


def _with_own_vae(card: Card) -> Card:
    """Return a card that runs a pipeline of the user's own with that pipeline's VAE, and needs no other."""
    if not isinstance(card.folders[0], LocalFolder) or not dict(card.options).get("vae"):
        return card
    options = tuple(option for option in card.options if option[0] != "vae")
    return replace(card, folders=card.folders[:-1], options=options)


def _change_folder(profile: Path, name: str, folder: Folder, change: Mapping[str, str]) -> Folder:
    if "path" in change:
        return LocalFolder(_absolute(profile, change["path"]))
    if not isinstance(folder, HubFolder):
        raise UnknownProfileError(
            f"profile {profile}: {name} does not come from a hub, so it has no revision"
        )
    return replace(folder, revision=change["revision"])


def _absolute(profile: Path, path: str) -> Path:
    return profile.absolute().parent / Path(path).expanduser()


def _change_repo(
    profile: Path, cards: dict[str, Card], repo: str, change: Mapping[str, str]
) -> None:
    found = False
    for name, card in cards.items():
        uses = [isinstance(folder, HubFolder) and folder.repo == repo for folder in card.folders]
        if not any(uses):
            continue
        found = True
        folders = tuple(
            _change_folder(profile, repo, folder, change) if used else folder
            for folder, used in zip(card.folders, uses, strict=True)
        )
        cards[name] = _with_own_vae(replace(card, folders=folders))
    if not found:
        raise UnknownProfileError(f"profile {profile}: no card uses the repository {repo}")


def _choose_cards(name: str, rows: dict[str, Any], cards: Mapping[str, Card]) -> Profile:
    profile: dict[Role[Any], Card] = {}
    rows = dict(rows)
    for role in ROLES:
        chosen = rows.pop(role.name, False)
        if chosen is False:  # a user's file removes a role of its base with `role = false`
            continue
        card = cards.get(chosen) if isinstance(chosen, str) else None
        if card is None or card.role != role:
            names = ", ".join(known.name for known in cards.values() if known.role == role)
            raise UnknownProfileError(
                f"profile {name}: {role} names no card of that role: {chosen!r}; there are: {names}"
            )
        profile[role] = card
    if rows:
        raise UnknownProfileError(f"profile {name}: no such role: {', '.join(rows)}")
    if not profile:
        raise UnknownProfileError(f"profile {name} chooses no card")
    return profile

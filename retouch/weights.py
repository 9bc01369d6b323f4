"""`retouch weights`: list, fetch (download), verify, bundle and unbundle model weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from models.catalog.card import Profile
from models.catalog.profile import load_profile
from models.catalog.registry import CARDS
from models.errors import BundleError, InvalidSettingsError, UnknownProfileError
from models.settings import ModelSettings, read_settings, warn_of_unknown_names
from models.weights import download
from models.weights.bundle import bundle as write_bundle
from models.weights.bundle import unbundle as read_bundle
from models.weights.cache import WeightsCache
from retouch.failures import fail

app = typer.Typer(
    help="Model weights. Exit status 1: some are missing, wrong or could not be downloaded.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
)
OfProfile = Annotated[
    str | None,
    typer.Argument(
        metavar="[PROFILE]",
        help="lite, cpu, sdxl, open, studio, bria, tiny, or the path of your own .toml.",
    ),
]
File = Annotated[Path, typer.Argument(help="The .tar file.")]


def _settings() -> ModelSettings:
    try:
        settings = read_settings(ModelSettings)
    except InvalidSettingsError as error:
        raise fail(str(error), 2) from None
    warn_of_unknown_names()
    return settings


def _cache(settings: ModelSettings) -> WeightsCache:
    return WeightsCache(settings.weights_dir, settings.models_dir)


@contextmanager
def _errors() -> Iterator[None]:
    """End the command with status 2 for a profile or a file that is invalid."""
    try:
        yield
    except (UnknownProfileError, BundleError, OSError) as error:
        raise fail(f"weights: {error}", 2) from None


@app.command("list")
def list_weights(profile: OfProfile = None) -> None:
    """List model cards and the state of their weights. PROFILE: only the cards of a profile."""
    cache = _cache(_settings())
    with _errors():
        wanted = set(load_profile(profile).values()) if profile is not None else set(CARDS)
    cards = [card for card in CARDS if card in wanted]
    cards += [card for card in wanted if card not in cards]  # changed by the user's own profile
    for card in cards:
        here = all(cache.path(part).exists() for part in card.parts)
        state = "here" if here else "not fetched"
        gated = any(getattr(folder, "gated", False) for folder in card.folders)
        notes = ["gated"] * gated + ["runs its repository's code"] * card.remote_code
        size = "unknown" if card.has_unknown_size else f"{card.size_mb:.1f} MiB"
        sizes = f"{size:>12} {card.memory_mb:6d} MiB {card.dtype:8}"
        remarks = "; ".join([card.licence, *notes])
        typer.echo(f"{card.role.name:18}{card.name:24}{sizes} {state:12} {remarks}")


@app.command()
def fetch(profile: OfProfile = None) -> None:
    """Download missing weights. PROFILE: by default RETOUCH_PROFILE."""
    settings = _settings()
    with _errors():
        cards, cache = load_profile(profile or settings.profile), _cache(settings)
        failures = download.fetch_profile(cards, cache, thorough=True)
        for name, text in failures.items():
            typer.echo(f"{name}: {text}", err=True)
        is_complete = _is_complete(cache, cards)
    raise typer.Exit(0 if is_complete and not failures else 1)


@app.command()
def verify(profile: OfProfile = None) -> None:
    """Check sizes and checksums. PROFILE: by default RETOUCH_PROFILE."""
    settings = _settings()
    with _errors():
        is_complete = _is_complete(_cache(settings), load_profile(profile or settings.profile))
    raise typer.Exit(0 if is_complete else 1)


def _is_complete(cache: WeightsCache, profile: Profile) -> bool:
    """Print the state of each part of a profile; return whether all are right."""
    problems = cache.verify(profile)
    parts = {part.name: part for card in profile.values() for part in card.parts}
    for name, problem in problems.items():
        own = cache.copy(parts[name]) is not None
        state = problem or ("your own copy" if own else "ok")
        typer.echo(f"{cache.path(parts[name])}: {state}")
    return not any(problems.values())


@app.command("pack", hidden=True)
@app.command()
def bundle(
    profile: Annotated[str, typer.Argument(help="A profile, or the path of your own .toml.")],
    file: File,
) -> None:
    """Put a profile's weights into one file, for a machine without a network."""
    cache = _cache(_settings())
    with _errors():
        cards = load_profile(profile)
        problems = {name: problem for name, problem in cache.verify(cards).items() if problem}
        if not problems:
            write_bundle(cards, cache, file)
            return
    for name, problem in problems.items():
        typer.echo(f"{name}: {problem}", err=True)
    raise fail("weights: fetch the profile first")


@app.command("unpack", hidden=True)
@app.command()
def unbundle(file: File) -> None:
    """Put the weights of a bundle into the weights folder."""
    cache = _cache(_settings())
    with _errors():
        read_bundle(file, cache)

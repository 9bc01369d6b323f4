"""The command line of `scripts/weights`: list, fetch (download), verify, pack and unpack weights."""

import argparse
import sys
from pathlib import Path

from models.catalog.card import Profile
from models.catalog.profile import load_profile, profile_names
from models.catalog.registry import CARDS
from models.errors import BundleError, InvalidSettingsError, UnknownProfileError
from models.settings import ModelSettings, read_settings, warn_of_unknown_names
from models.weights import download
from models.weights.bundle import bundle, unbundle
from models.weights.cache import WeightsCache


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status.

    0: done. 1: weights are missing, wrong or could not be downloaded. 2: a setting, profile or file
    is invalid.
    """
    options = _parser().parse_args(arguments)
    try:
        settings = read_settings(ModelSettings)
    except InvalidSettingsError as error:
        print(error, file=sys.stderr)
        return 2
    warn_of_unknown_names()
    cache = WeightsCache(settings.weights_dir, settings.models_dir)
    profile = options.profile or settings.profile
    try:
        match options.command:
            case "list":
                return _list(cache, load_profile(options.profile) if options.profile else None)
            case "fetch":
                return _fetch(cache, load_profile(profile))
            case "verify":
                return _verify(cache, load_profile(profile))
            case "pack":
                return _pack(cache, load_profile(profile), options.file)
            case _:
                unbundle(options.file, cache)
                return 0
    except (UnknownProfileError, BundleError, OSError) as error:
        print(f"weights: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="weights", description="Fetch, check and pack weights.")
    commands = parser.add_subparsers(dest="command", required=True)
    list_command = commands.add_parser(
        "list", help="list model cards and the state of their weights"
    )
    list_command.add_argument("profile", nargs="?", help="only the cards of a profile")
    profile_help = f"{', '.join(profile_names())}, or the path of your own .toml"
    for name, text in (
        ("fetch", "download missing weights"),
        ("verify", "check sizes and checksums"),
        ("pack", "put a profile's weights into one file, for a machine without a network"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("profile", nargs=None if name == "pack" else "?", help=profile_help)
        if name == "pack":
            command.add_argument("file", type=Path, help="the .tar to write")
    unpack_command = commands.add_parser(
        "unpack", help="put packed weights into the weights folder"
    )
    unpack_command.add_argument("file", type=Path)
    unpack_command.set_defaults(profile=None)
    return parser


def _list(cache: WeightsCache, profile: Profile | None) -> int:
    wanted = set(profile.values()) if profile is not None else set(CARDS)
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
        print(f"{card.role.name:18}{card.name:24}{sizes} {state:12} {remarks}")
    return 0


def _fetch(cache: WeightsCache, profile: Profile) -> int:
    failures = download.fetch_profile(profile, cache, thorough=True)
    for name, text in failures.items():
        print(f"{name}: {text}", file=sys.stderr)
    return max(_verify(cache, profile), bool(failures))


def _verify(cache: WeightsCache, profile: Profile) -> int:
    problems = cache.verify(profile)
    parts = {part.name: part for card in profile.values() for part in card.parts}
    for name, problem in problems.items():
        own = cache.copy(parts[name]) is not None
        print(f"{cache.path(parts[name])}: {problem or ('your own copy' if own else 'ok')}")
    return 1 if any(problems.values()) else 0


def _pack(cache: WeightsCache, profile: Profile, file: Path) -> int:
    problems = {name: problem for name, problem in cache.verify(profile).items() if problem}
    if problems:
        for name, problem in problems.items():
            print(f"{name}: {problem}", file=sys.stderr)
        print("weights: fetch the profile first", file=sys.stderr)
        return 1
    bundle(profile, cache, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())

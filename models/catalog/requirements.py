"""The extras of pyproject.toml that a profile needs: `python3 -m models.catalog.requirements`.

`scripts/profile-environment` runs it before anything is installed, so this module and all that it
imports need nothing but the standard library.
"""

import os
import sys
from collections.abc import Mapping

from models.catalog.card import Card, Profile
from models.catalog.profile import load_profile
from models.catalog.source import HubFolder
from models.errors import UnknownProfileError
from models.variables import setting


def needs_gpu_extra(card: Card) -> bool:
    """Whether a card needs the extra `gpu`: for torch, or for the hub's client, which fetches folders."""
    return card.torch or any(isinstance(folder, HubFolder) for folder in card.folders)


def extras(profile: Profile, engine: str) -> list[str]:
    """Return the extras for a profile. engine: `local`, or `ray` for a cluster."""
    gpu = any(map(needs_gpu_extra, profile.values()))
    return ["gpu"] * gpu + ["cluster"] * (engine == "ray")


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Print the extras for RETOUCH_PROFILE and RETOUCH_ENGINE in one line; return the exit status.

    It is 1 for an unknown profile, with the text that the server prints for it.
    """
    try:
        profile = load_profile(setting(environment, "PROFILE", "lite"))
    except UnknownProfileError as error:
        print(f"weights: {error}", file=sys.stderr)
        return 1
    print(*extras(profile, setting(environment, "ENGINE", "local")))
    return 0


if __name__ == "__main__":
    sys.exit(main())

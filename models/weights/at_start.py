"""Fetches what a profile lacks when a server starts, and decides whether it can start without what failed."""

from models.catalog.card import Profile
from models.errors import WeightsUnavailableError
from models.start_progress import StartProgress
from models.weights import download
from models.weights.cache import WeightsCache
from models.weights.remedy import remedy


def fetch_for_start(
    name: str, profile: Profile, cache: WeightsCache, progress: StartProgress
) -> dict[str, str]:
    """Fetch the missing weights of a profile. Return what failed, by the name of the card.

    name: of the profile, or the path of its file. If the profile has torch models, one card without weights
    does not stop the others. Raises WeightsUnavailableError if the server cannot start.
    """
    failures = download.fetch_profile(profile, cache, start=progress)
    torch = any(card.torch for card in profile.values())
    own = {card.name for card in profile.values() if card.own}
    if failures and (not torch or len(failures) == len(profile) or own & failures.keys()):
        failed = [card for card in profile.values() if card.name in failures]
        # Two cards may need the same files, and then fail with the same text.
        texts = dict.fromkeys(failures.values())
        raise WeightsUnavailableError("\n".join([*texts, *remedy(name, failed, cache)]))
    return failures

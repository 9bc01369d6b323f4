"""What to do about weights that a machine cannot fetch."""

from collections.abc import Collection

from models.catalog.card import Card
from models.catalog.source import LocalFolder
from models.weights.cache import WeightsCache


def remedy(profile: str, failed: Collection[Card], cache: WeightsCache) -> list[str]:
    """Return how weights reach a machine that cannot fetch them; nothing if they are the user's own paths."""
    parts = dict.fromkeys(part for card in failed for part in card.parts)
    missing = [part for part in parts if not isinstance(part, LocalFolder) and cache.problem(part)]
    if not missing:
        return []
    return [
        f"Missing in {cache.folder}: {', '.join(part.name for part in missing)}.",
        "Without a network: on a machine that has one, run"
        f" retouch weights fetch {profile} && retouch weights bundle {profile} weights.tar;"
        " here, retouch weights unbundle weights.tar (in a checkout: ./scripts/weights). Or put the"
        " files, under these names, into a folder of your own, and set RETOUCH_MODELS_DIR to it.",
    ]

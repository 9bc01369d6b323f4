"""The objects that every route needs: authentication, concurrency limit, uploads, visuals, links, storage."""

from dataclasses import dataclass

from server.http.admission import ConcurrencyLimit
from server.http.auth import Tokens
from server.http.results import Delivery
from server.http.uploads import Intake
from server.settings import Settings
from server.storage_limits import StorageLimits
from server.visuals import Visuals


@dataclass(frozen=True)
class Dependencies:
    """The objects that every route needs."""

    settings: Settings
    tokens: Tokens
    concurrency_limit: ConcurrencyLimit
    intake: Intake
    visuals: Visuals
    delivery: Delivery
    storage: StorageLimits

"""What every route that takes a request needs: who calls, whether there is room, what is sent."""

from dataclasses import dataclass

from server.http.admission import ConcurrencyLimit
from server.http.auth import Tokens
from server.http.results import Delivery
from server.http.uploads import Intake
from server.settings import Settings
from server.visuals import Visuals


@dataclass(frozen=True)
class Dependencies:
    """What every route needs between a caller and the work."""

    settings: Settings
    tokens: Tokens
    concurrency_limit: ConcurrencyLimit
    intake: Intake
    visuals: Visuals
    delivery: Delivery

"""What every route that takes a request needs: who calls, whether there is room, what is sent."""

from dataclasses import dataclass

from server.auth import Tokens
from server.delivery import Delivery
from server.gate import Gate
from server.intake import Intake
from server.settings import Settings
from server.visuals import Visuals


@dataclass(frozen=True)
class Reception:
    """The parts of the house that stand between a caller and the work."""

    settings: Settings
    tokens: Tokens
    gate: Gate
    intake: Intake
    visuals: Visuals
    delivery: Delivery

"""The v2 API, one file for each operation, and the lists of all its routes."""

from typing import Any

from server.operation import Operation
from server.v2 import remove_background, status
from server.v2.envelope import responses

OPERATIONS: tuple[Operation[Any], ...] = (remove_background.OPERATION,)
ROUTERS = (status.router,)

__all__ = ["OPERATIONS", "ROUTERS", "responses"]

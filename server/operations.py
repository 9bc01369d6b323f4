"""The editing routes of both versions."""

from typing import Any

from server import v1, v2
from server.operation import Operation

OPERATIONS: tuple[Operation[Any], ...] = (*v1.OPERATIONS, *v2.OPERATIONS)

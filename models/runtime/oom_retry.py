"""The retry of a model that runs out of memory: once, with a smaller batch or size; then a clear error.

Torch is not imported here: a profile without torch can only run out of main memory.
"""

import logging
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from models.errors import ModelOutOfMemoryError
from models.roles import Role

log = logging.getLogger("retouch.memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error or one of its causes says that memory ran out, on a GPU or in main memory."""
    torch = sys.modules.get("torch")
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else (MemoryError,)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kinds):
            return True
        if isinstance(seen, RuntimeError) and "can't allocate memory" in str(seen):
            return True  # torch's allocator for main memory has no own error class
        seen = seen.__cause__
    return False


def is_out_of_device_memory(error: BaseException) -> bool:
    """Whether an error or one of its causes says that the memory of a GPU ran out."""
    torch = sys.modules.get("torch")
    seen: BaseException | None = error
    while torch and seen is not None:
        if isinstance(seen, torch.OutOfMemoryError):
            return True
        seen = seen.__cause__
    return False


class RetryOnOutOfMemory:
    """The retry of one role's calls, with smaller input, after memory ran out.

    `models.roles.Role.retry` makes the call smaller: several seeds run in smaller batches, whose
    pictures look the same; anything else runs at half the width and height, and the enlarged result is less
    sharp. The scheduler makes both attempts.

    name: of the card, for messages. make_room: frees all the memory that can be freed.
    """

    def __init__(self, role: Role[Any], name: str, make_room: Callable[[], None]) -> None:
        self._role = role
        self._name = name
        self._make_room = make_room

    def smaller(self, model: Any) -> Callable[..., Any]:
        """Free memory, and return the function that makes the call with smaller input."""
        log.warning("%s ran out of memory: retry with smaller input", self._name)
        self._make_room()
        assert self._role.retry is not None  # noqa: S101 - the pool makes no instance for such a role
        method = getattr(model, self._role.method)
        return partial(self._role.retry, method, getattr(model, "sizes", None))

    def failure(self) -> ModelOutOfMemoryError:
        """Free memory, and return the error for a call that ran out of memory twice."""
        self._make_room()
        return ModelOutOfMemoryError(
            f"{self._name} needs more memory for this picture than there is"
        )

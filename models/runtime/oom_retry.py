"""What happens when a model runs out of memory: once more, at a smaller batch or size, then a clear error.

Torch is not imported here: a profile without it has nothing to run out of but main memory.
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
    """Whether an error says that memory ran out, on a GPU or here, itself or by its cause."""
    torch = sys.modules.get("torch")
    kinds = (MemoryError, torch.OutOfMemoryError) if torch else (MemoryError,)
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, kinds):
            return True
        if isinstance(seen, RuntimeError) and "can't allocate memory" in str(seen):
            return True  # torch's allocator for main memory has no error class of its own
        seen = seen.__cause__
    return False


class RetryOnOutOfMemory:
    """How a call of one role's model is made once more, smaller, when memory runs out.

    How it is made smaller is its role's (`models.roles.Role.retry`): many seeds one by one, which gives the
    same pictures; else at half the width and height with the result enlarged, so that it is less sharp.
    The scheduler makes both tries.

    name: of the card, for messages. make_room: frees what can be freed.
    """

    def __init__(self, role: Role[Any], name: str, make_room: Callable[[], None]) -> None:
        self._role = role
        self._name = name
        self._make_room = make_room

    def smaller(self, model: Any) -> Callable[..., Any]:
        """Make room, and return the model's method as it is tried again."""
        log.warning("%s ran out of memory; it is tried once more, smaller", self._name)
        self._make_room()
        assert self._role.retry is not None  # noqa: S101 - the pool makes none for such roles
        method = getattr(model, self._role.method)
        return partial(self._role.retry, method, getattr(model, "sizes", None))

    def failure(self) -> ModelOutOfMemoryError:
        """Make room, and return the error of a call that ran out of memory twice."""
        self._make_room()
        return ModelOutOfMemoryError(
            f"{self._name} needs more memory for this picture than there is"
        )

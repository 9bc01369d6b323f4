"""What happens when a model runs out of memory: once more, at a smaller batch or size, then a clear error.

Torch is not imported here: a profile without it has nothing to run out of but main memory.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any

from models.errors import ModelOutOfMemoryError
from models.roles import Role

log = logging.getLogger("retouch.memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out, on a GPU or here, itself or by its cause."""
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
    """A model whose calls are tried once more, smaller, when memory runs out.

    How it is tried again is its role's (`models.roles.Role.retry`): many seeds one by one, which gives the
    same pictures; else at half the width and height with the result enlarged, so that it is less
    sharp. When memory runs out again ModelOutOfMemoryError is raised. Other attributes are the model's own.
    """

    def __init__(
        self, model: Any, role: Role[Any], name: str, make_room: Callable[[], None]
    ) -> None:
        """Wrap a model of a role.

        name: of its card, for messages. make_room: called between the two tries, frees what can be freed.
        """
        self._model = model
        self._role = role
        self._name = name
        self._make_room = make_room

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._model, attribute)
        retry = self._role.retry
        if attribute != self._role.method or retry is None:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return found(*args, **kwargs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Outside the handler: the error's traceback would keep the first try's tensors alive.
            log.warning("%s ran out of memory; it is tried once more, smaller", self._name)
            self._make_room()
            try:
                return retry(found, getattr(self._model, "sizes", None), *args, **kwargs)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                text = f"{self._name} needs more memory for this picture than there is"
            self._make_room()
            raise ModelOutOfMemoryError(text)

        return call

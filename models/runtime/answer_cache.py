"""The answers of models that always answer the same texts alike, kept so that they are asked once."""

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from models.roles import Role
from models.runtime.task import TENANT

_SIZE = 1024


class AnswerCache:
    """The latest answers of a role's model, whose calls have only texts as arguments. Threads may share it.

    It holds no text that a caller sent, only a SHA-256 of each call, and no picture. Each tenant has its
    own answers: how soon one comes tells nobody what another tenant has asked. size: number of answers of
    all; above it, the least recently used one is dropped.
    """

    def __init__(self, size: int = _SIZE) -> None:
        self._size = size
        self._answers: OrderedDict[bytes, str] = OrderedDict()
        self._lock = threading.Lock()

    def call(
        self, ask: Callable[..., str], model: str, role: Role[Any], /, *args: str, **kwargs: str
    ) -> str:
        """Return the answer of a call, from `ask(role, *args, **kwargs)` if it is not known yet.

        model: the name of the card. Raises the errors of `ask`, which are not kept.
        """
        text = json.dumps([TENANT.get(), model, role.name, args, kwargs], sort_keys=True)
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        answer = ask(role, *args, **kwargs)
        with self._lock:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
        return answer

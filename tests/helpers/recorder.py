"""A recorder of what the modules of a torch pipeline are fed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def recorded(module: Any) -> Iterator[list[dict[str, Any]]]:
    """Yield a list to which each call of a module adds its inputs: by name, or "0" for the first.

    Tensors are copied.
    """
    calls: list[dict[str, Any]] = []

    def record(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = {**{str(number): value for number, value in enumerate(args)}, **kwargs}
        calls.append(
            {
                name: value.detach().clone() if hasattr(value, "detach") else value
                for name, value in given.items()
            }
        )

    hook = module.register_forward_pre_hook(record, with_kwargs=True)
    try:
        yield calls
    finally:
        hook.remove()

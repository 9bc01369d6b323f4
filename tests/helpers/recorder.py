"""A recorder of what the modules of a torch pipeline are fed."""

import functools
import inspect
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


def watched(patch: Any, kind: Any) -> list[dict[str, Any]]:
    """Return a list to which each forward pass of any network of a class adds its inputs, by name.

    patch: pytest's monkeypatch, which undoes it. Tensors are copied, as NumPy arrays.
    """
    calls: list[dict[str, Any]] = []
    forward = kind.forward
    signature = inspect.signature(forward)

    def record(self: Any, *args: Any, **kwargs: Any) -> Any:
        given = signature.bind(self, *args, **kwargs).arguments
        calls.append({name: _array(value) for name, value in given.items() if name != "self"})
        return forward(self, *args, **kwargs)

    # transformers looks at the signature.
    patch.setattr(kind, "forward", functools.update_wrapper(record, forward))
    return calls


def _array(value: Any) -> Any:
    """Return tensors, also in dictionaries, as arrays."""
    if isinstance(value, dict):
        return {name: _array(one) for name, one in value.items()}
    return value.detach().float().cpu().numpy().copy() if hasattr(value, "detach") else value

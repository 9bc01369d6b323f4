"""Pipelines that several roles use, each in memory once."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from models.backends.torch.loading import LOADING
from models.device import DeviceConfig

P = TypeVar("P")

_LOADED: weakref.WeakValueDictionary[tuple[Any, ...], Any] = weakref.WeakValueDictionary()


def shared(kind: Callable[..., P], folder: Path, device_config: DeviceConfig, **options: Any) -> P:
    """Return `kind(folder, device_config, **options)`, made once while anything uses it.

    Raises BadWeightsError.
    """
    key = (kind, folder.resolve(), device_config, *sorted(options.items()))
    with LOADING:
        pipeline: P | None = _LOADED.get(key)
        if pipeline is None:
            _LOADED[key] = pipeline = kind(folder, device_config, **options)
        return pipeline

"""Loads the model of a card: checks its weights, and retries once with more memory."""

from collections.abc import Callable
from typing import Any

from models.catalog.card import Card, check_pin
from models.device import DeviceConfig
from models.errors import ModelOutOfMemoryError, ModelUnavailableError, UnpinnedCodeError
from models.runtime.oom_retry import is_out_of_device_memory, is_out_of_memory
from models.weights.cache import WeightsCache


def load_model(
    card: Card, cache: WeightsCache, device_config: DeviceConfig, make_room: Callable[[bool], None]
) -> Any:
    """Load a card's model from a cache.

    make_room: frees memory for a second try, that of the device or, for False, main memory too.
    Raises ModelUnavailableError, also if weights are missing or damaged.
    """
    name = f"{card.role} ({card.name})"
    try:
        check_pin(card)
    except UnpinnedCodeError as error:
        raise ModelUnavailableError(str(error)) from error
    for part in card.parts:
        if problem := cache.problem(part):
            raise ModelUnavailableError(f"{name}: {cache.path(part)}: {problem}")
    try:
        return _build(card, cache, device_config, make_room)
    except MemoryError:
        raise
    except Exception as error:
        # Each backend raises its own errors. To a caller they all mean that the model is
        # unavailable.
        paths = ", ".join(map(str, cache.paths(card))) or "no files"
        raise ModelUnavailableError(f"{name} from {paths}: {error}") from error


def _build(
    card: Card, cache: WeightsCache, device_config: DeviceConfig, make_room: Callable[[bool], None]
) -> Any:
    """Build a card's model. If memory runs out, evict every idle model and retry once."""
    paths = cache.paths(card)
    try:
        return card.load(paths, device_config)
    except Exception as error:
        if not card.torch or not is_out_of_memory(error):
            raise
        of_device = is_out_of_device_memory(error)
    # Outside the handler: the error's traceback would keep the first attempt's tensors alive.
    make_room(of_device)
    try:
        return card.load(paths, device_config)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    raise ModelOutOfMemoryError(
        f"{card.name} does not fit into the memory of {device_config.device}"
    )

"""Metrics of the models: which are loaded, what they take, who uses them, and how many calls wait for them."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from models.runtime.model_states import ModelState, ReportsModels
from server.metrics.families import gauge, gauges

_LABELS = "role model device"
_MIB = 1 << 20


def models(engine: object) -> Iterator[Metric]:
    """Yield the state of an engine's models; nothing for what is not known in this process."""
    if not isinstance(engine, ReportsModels):
        return
    states = engine.model_states()
    known = [one for one in states.models if one.is_loaded is not None]
    yield gauges(
        "retouch_model_loaded",
        "Whether a model is ready to be called: 1 or 0.",
        _LABELS,
        {_key(one): float(bool(one.is_loaded)) for one in known},
    )
    yield gauges(
        "retouch_model_bytes",
        "What a model takes with the buffers of one call, by its card; 0 while it is not loaded.",
        _LABELS,
        {_key(one): one.memory_mb * _MIB * bool(one.is_loaded) for one in known},
    )
    yield gauges(
        "retouch_model_users",
        "Tasks that use a model now.",
        _LABELS,
        {_key(one): one.users for one in known if one.users is not None},
    )
    yield gauges(
        "retouch_model_calls_waiting",
        "Calls that wait for a model which takes one at a time.",
        _LABELS,
        {_key(one): one.waiting for one in known if one.waiting is not None},
    )
    if states.held_mb is not None:
        text = "What all loaded models take by their cards: shared weights, and buffers of a GPU, once."
        yield gauge("retouch_models_bytes", text, states.held_mb * _MIB)
    if states.budget_mb is not None:
        text = "What loaded models may take together."
        yield gauge("retouch_models_budget_bytes", text, states.budget_mb * _MIB)
    if states.evicted_mb is not None and states.evicted_budget_mb:
        text = "What models that were evicted from the GPU take of main memory."
        yield gauge("retouch_models_evicted_bytes", text, states.evicted_mb * _MIB)
        text = "What evicted models may take of main memory together."
        yield gauge("retouch_models_evicted_budget_bytes", text, states.evicted_budget_mb * _MIB)


def _key(state: ModelState) -> tuple[str, str, str]:
    return state.role, state.model, state.device

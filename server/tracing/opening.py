"""Whether traces are exported, by the standard variables of OpenTelemetry; nothing of it is imported otherwise."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from models.errors import InvalidSettingsError

if TYPE_CHECKING:
    from server.tracing.spans import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER, _DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
_PROTOCOL = "http/protobuf"


def open_tracing(environment: Mapping[str, str]) -> "Tracing | None":
    """Return what exports traces; None unless the variables of OpenTelemetry ask for it.

    Raises InvalidSettingsError if they ask for what this server does not have.
    """
    asked = asks_for_traces(environment)
    if asked is None:
        return None
    protocol = _first(environment, _PROTOCOLS)
    if protocol not in (None, _PROTOCOL):
        raise InvalidSettingsError(f"settings: only the protocol {_PROTOCOL} is spoken: {protocol}")
    try:
        # Not imported at the top of the module: most servers export no traces.
        from server.tracing.spans import open_exporter
    except ImportError as error:
        raise InvalidSettingsError(
            f"settings: {asked} asks for traces, which need the extra `otel`: pip install"
            f" 'retouch[otel]' ({error})"
        ) from error
    return open_exporter(environment)


def asks_for_traces(environment: Mapping[str, str]) -> str | None:
    """Return the variable that asks for traces; None if none does. Raises InvalidSettingsError."""
    exporter = environment.get(_EXPORTER, "").strip().lower()
    if environment.get(_DISABLED, "").strip().lower() == "true" or exporter == "none":
        return None
    if exporter not in ("", "otlp"):
        raise InvalidSettingsError(f"settings: {_EXPORTER} must be otlp or none")
    asking = (*_ENDPOINTS, _EXPORTER)
    return next((name for name in asking if environment.get(name, "").strip()), None)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    """Return the value of the first variable that is set."""
    return next((text for name in names if (text := environment.get(name, "").strip())), None)

"""Traces are exported only if variables of OpenTelemetry ask for them; a missing package is told at the start."""

import subprocess
import sys

import pytest

from models.errors import InvalidSettingsError
from server.tracing.opening import asks_for_traces, open_tracing
from tests.helpers.places import ROOT

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
TRACES = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}


@pytest.mark.parametrize(
    ("variables", "asking"),
    [
        ({}, None),
        ({"OTEL_SERVICE_NAME": "retouch", "OTEL_EXPORTER_OTLP_ENDPOINT": " "}, None),
        (ENDPOINT, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ({**ENDPOINT, **TRACES}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "OTEL_TRACES_EXPORTER"),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, None),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, None),
    ],
)
def test_the_standard_variables_decide(variables: dict[str, str], asking: str | None) -> None:
    assert asks_for_traces(variables) == asking


@pytest.mark.parametrize(
    "variables",
    [{"OTEL_TRACES_EXPORTER": "zipkin"}, {**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}],
)
def test_what_this_server_does_not_have_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(InvalidSettingsError, match=r"must be otlp|only the protocol http/protobuf"):
        open_tracing(variables)


def test_a_missing_package_is_refused_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "server.tracing.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(
        InvalidSettingsError, match=r"ENDPOINT asks .* pip install 'retouch\[otel\]'"
    ):
        open_tracing(ENDPOINT)


def test_no_part_that_exports_is_imported_unless_it_is_asked_for() -> None:
    """FastAPI imports the API of OpenTelemetry where it is installed, and does nothing with it."""
    program = "import sys, server.__main__ as m; m.open_tracing({});" + (
        "assert not sys.modules.keys() & {'opentelemetry.sdk', 'opentelemetry.exporter'}"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)

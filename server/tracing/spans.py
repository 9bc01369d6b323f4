"""The spans of requests and of their stages, and their export by OTLP. Only here OpenTelemetry is imported."""

import importlib.metadata
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from models.log_context import TRACEPARENT, log_context, log_scope
from models.stages import Observer, Passed, Stage, observing
from server.http.audit import ended_code
from server.http.request_id import correlation_id, known_job

_MAX_HEADER = 512
"""Longest traceparent and tracestate that are read, in characters."""
_CLOSE_TIMEOUT_S = 2.0
_NANOSECONDS = 1_000_000_000
_W3C = TraceContextTextMapPropagator()
# It warns of each malformed tracestate, with the text, for which callers shall have no line.
logging.getLogger("opentelemetry.trace.span").setLevel(logging.ERROR)


def open_exporter(environment: Mapping[str, str]) -> "Tracing":
    """Return what exports traces by OTLP over HTTP, to where the standard variables say."""
    about = {"service.version": importlib.metadata.version("retouch")}
    attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environment.get("OTEL_SERVICE_NAME") and "service.name=" not in attributes:
        about["service.name"] = "retouch"
    return Tracing(BatchSpanProcessor(OTLPSpanExporter()), Resource.create(about))


class Tracing(Observer):
    """Makes spans: of requests by `around`, of stages as an observer. Threads share it.

    The parent of a span is the `traceparent` of the log's context, which goes with the work to other threads,
    processes and servers.
    """

    def __init__(self, processor: SpanProcessor, resource: Resource) -> None:
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("retouch")

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make spans of all stages while the context lasts; then export what is left, in 2 s at most."""
        try:
            with observing(self):
                yield
        finally:
            thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
            thread.start()
            thread.join(_CLOSE_TIMEOUT_S)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that answers as `app` does, with a span for each request."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            scope.setdefault("state", {})  # copies of the scope share it
            span = self._tracer.start_span("request", _sent(scope), SpanKind.SERVER)
            try:
                with log_scope({TRACEPARENT: _traceparent(span)}):
                    await app(scope, receive, send)
            finally:
                _describe(span, scope, ended_code(scope))
                span.end()

        return traced

    def begin(self, name: Stage, role: str) -> tuple[Span, ExitStack]:
        """Begin the span of a stage."""
        span = self._tracer.start_span(_name(name, role), _parent())
        entered = ExitStack()
        entered.enter_context(log_scope({TRACEPARENT: _traceparent(span)}))
        return span, entered

    def end(self, passed: Passed, begun: Any) -> None:
        """End the span of a stage; one of a wait is made only now."""
        if begun is None:
            end = time.time_ns()
            start = end - int(passed.seconds * _NANOSECONDS)
            name = _name(passed.name, passed.role)
            self._tracer.start_span(name, _parent(), start_time=start).end(end)
            return
        span, entered = begun
        entered.close()
        if passed.error is not None:  # its text may be a caller's
            span.set_status(Status(StatusCode.ERROR, type(passed.error).__name__))
        span.end()


def _name(stage: Stage, role: str) -> str:
    return f"{stage.value} {role}".strip()


def _parent() -> Context:
    """Return the span in which this context works; an empty context without one."""
    return _W3C.extract({TRACEPARENT: log_context().get(TRACEPARENT, "")}, Context())


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span, Context()))
    return carrier[TRACEPARENT]


def _sent(scope: Scope) -> Context:
    """Return the span of the caller, from its headers; an empty context if they are not well-formed."""
    names = (b"traceparent", b"tracestate")
    values: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name in names and len(value) <= _MAX_HEADER:
            values.setdefault(name.decode(), []).append(value.decode("latin-1"))
    return _W3C.extract(
        {name: sent[0] for name, sent in values.items() if len(sent) == 1}, Context()
    )


def _describe(span: Span, scope: Scope, code: int) -> None:
    """Name the span of a request, without the texts of its caller."""
    state = scope["state"]
    operation, caller = state.get("operation"), state.get("caller")
    span.update_name(operation or "no route")
    method, _, route = (operation or "").partition(" ")
    told = {
        "http.request.method": method or None,
        "http.route": route or None,
        "http.response.status_code": code,
        "retouch.request_id": correlation_id(scope),
        "retouch.job_id": known_job(scope),
        "retouch.organisation": caller and caller.organisation,
    }
    span.set_attributes({name: value for name, value in told.items() if value is not None})
    if code >= 500:
        span.set_status(Status(StatusCode.ERROR))

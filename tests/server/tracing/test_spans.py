"""The spans of requests: stages, on whatever thread, within the trace of the caller, and no text of a caller."""

import asyncio
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.testclient import TestClient
from starlette.types import Scope

from models.log_context import TRACEPARENT, log_context, log_scope
from models.roles import MODERATION
from models.runtime.calls import Inference
from models.runtime.scheduler import Scheduler
from models.stages import Stage, stage
from server.app import create_app
from server.http.audit import note_malformed
from server.settings import Settings
from server.tracing.spans import Tracing, open_exporter
from tests.helpers.fake_models import FakeModels
from tests.helpers.log_lines import written
from tests.helpers.requests import TOKEN, b64, photo

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracing(exported: InMemorySpanExporter) -> Iterator[Tracing]:
    tracing = Tracing(SimpleSpanProcessor(exported), Resource({}))
    with tracing.opened():
        yield tracing


@pytest.fixture
def client(tmp_path: Path, tracing: Tracing) -> Iterator[TestClient]:
    settings = Settings(data_dir=tmp_path, api_tokens="a:secret-a", workers=1)
    app = tracing.around(create_app(settings, FakeModels()))
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


def named(exported: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exported.get_finished_spans()}


def parent(span: ReadableSpan) -> int | None:
    return span.parent and span.parent.span_id


def test_a_request_has_spans_from_its_route_to_the_store(
    client: TestClient, exported: InMemorySpanExporter
) -> None:
    answer = client.post("/v1/background/remove", json={"file": b64(photo())}, headers=SENT)
    assert answer.status_code == 200
    spans = named(exported)
    route = spans["POST /v1/background/remove"]
    assert {"intake", "queue call", "decode", "compose", "model matting", "encode", "store"} <= {
        *spans
    }
    assert {span.context.trace_id for span in spans.values()} == {int(TRACE, 16)}
    assert parent(route) == int(PARENT, 16)
    for name in ("intake", "decode", "compose", "store"):
        assert parent(spans[name]) == route.context.span_id, name
    for name in ("model matting", "encode"):
        assert parent(spans[name]) == spans["compose"].context.span_id, name
    assert route.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/background/remove",
        "http.response.status_code": 200,
        "retouch.request_id": answer.headers["X-Request-ID"],
        "retouch.job_id": answer.headers["X-Request-ID"],
        "retouch.organisation": "a",
    }


def test_a_job_belongs_to_the_trace_of_its_request(
    client: TestClient, exported: InMemorySpanExporter, wait_until: Callable[..., None]
) -> None:
    body = {"file": b64(photo()), "sync": False}
    assert client.post("/v1/background/remove", json=body, headers=SENT).status_code == 200
    wait_until(lambda: "store" in named(exported))
    spans = named(exported)
    assert {"queue check", "queue job", "compose", "store"} <= {*spans}
    assert {span.context.trace_id for span in spans.values()} == {int(TRACE, 16)}


@pytest.mark.parametrize(
    "sent",
    [
        "00-0-0-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"{SENT['traceparent']}{'x' * 2000}",
        "\x85",
    ],
)
def test_a_malformed_parent_begins_a_new_trace(
    client: TestClient, exported: InMemorySpanExporter, sent: str
) -> None:
    client.get("/healthz", headers={"traceparent": sent.encode("latin-1")})
    (span,) = exported.get_finished_spans()
    assert parent(span) is None
    assert span.context.trace_id != int(TRACE, 16)


def test_a_caller_who_wants_no_trace_gets_none(
    client: TestClient, exported: InMemorySpanExporter
) -> None:
    client.get("/healthz", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    assert exported.get_finished_spans() == ()


def test_no_text_of_a_caller_is_in_a_span(
    client: TestClient, exported: InMemorySpanExporter
) -> None:
    mark = "m4rk"
    body = {"image_url": f"http://{mark}.invalid/{mark}", "prompt": mark}
    client.post(f"/v1/eraser?{mark}={mark}", json=body, headers={"user-agent": mark})
    client.get(f"/{mark}")
    client.request("M4RK", f"/v1/{mark}/info")
    spans = exported.get_finished_spans()
    assert {span.name for span in spans} >= {"fetch", "no route"}
    told = json.dumps([span.to_json() for span in spans])
    assert mark not in told.lower()


def test_a_stage_that_fails_names_the_class_of_the_error(
    tracing: Tracing, exported: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="secret"), stage(Stage.DECODE):
        raise ValueError("secret")
    (span,) = exported.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.status.description, span.events) == ("ValueError", ())
    assert log_context() == {}


def test_calls_of_one_batch_wait_in_the_traces_of_their_callers(
    tracing: Tracing, exported: InMemorySpanExporter, wait_until: Callable[..., None]
) -> None:
    class Model:
        def batch_key(self, rgb: Any) -> object:
            return 1

        def infer(self, inputs: Any) -> Any:
            return [0 for _ in inputs]

    class Use:
        def __enter__(self) -> Model:
            return Model()

        def __exit__(self, *_: object) -> None:
            pass

    scheduler = Scheduler("device", 1, lambda role: Use(), {MODERATION: 2})
    blocking = scheduler.submit(lambda: wait_until(lambda: scheduler.waiting == 2))
    traces = [f"{number:032x}" for number in (1, 2)]
    futures: list[Future[Any]] = []
    for trace in traces:
        with log_scope({TRACEPARENT: f"00-{trace}-{PARENT}-01"}):
            futures.append(
                scheduler.submit(Inference(MODERATION, (np.zeros((2, 2, 3), np.uint8),)))
            )
    blocking.result(10)
    assert [future.result(10) for future in futures] == [0, 0]
    assert scheduler.close(10)
    waits = [span for span in exported.get_finished_spans() if span.name == "queue moderation"]
    assert {f"{span.context.trace_id:032x}" for span in waits} == set(traces)


async def test_requests_of_one_event_loop_have_spans_of_their_own(
    tracing: Tracing, exported: InMemorySpanExporter
) -> None:
    met = asyncio.Barrier(3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await met.wait()
        with stage(Stage.INTAKE):
            await met.wait()

    scopes = [{"type": "http", "headers": [], "state": {}} for _ in range(3)]
    await asyncio.gather(*(tracing.around(app)(scope, None, None) for scope in scopes))
    spans = exported.get_finished_spans()
    parents = {parent(span) for span in spans if span.name == "intake"}
    assert parents == {span.context.span_id for span in spans if span.name == "no route"}
    assert len(parents) == 3


def test_lines_of_the_log_have_the_trace(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Any] = []
    monkeypatch.setattr(caplog.handler, "emit", lambda record: lines.extend(written([record])))
    with caplog.at_level("INFO"):
        client.post("/v1/crop", json={}, headers=SENT)
    (line,) = [line for line in lines if line["logger"] == "retouch.audit"]
    assert line["trace_id"] == TRACE
    assert "traceparent" not in line


def test_the_exporter_follows_the_standard_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    for variables, name in (
        ({}, "retouch"),
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=studio"}, "studio"),
    ):
        with monkeypatch.context() as patch:
            for key, value in variables.items():
                patch.setenv(key, value)
            tracing = open_exporter(variables)
        with tracing.opened():
            assert tracing._provider.resource.attributes["service.name"] == name


class Collector(BaseHTTPRequestHandler):
    """Receives traces by OTLP over HTTP."""

    received: ClassVar[list[ExportTraceServiceRequest]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert self.path == "/v1/traces"
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_collector_gets_the_spans_by_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        with open_exporter({}).opened(), stage(Stage.DECODE):
            pass
        server.shutdown()
    (received,) = Collector.received
    (scope,) = received.resource_spans[0].scope_spans
    assert [span.name for span in scope.spans] == ["decode"]


async def test_a_malformed_body_has_the_code_that_its_connection_answers(
    tracing: Tracing, exported: InMemorySpanExporter
) -> None:
    async def app(scope: Scope, *_: object) -> None:
        note_malformed(scope, 400)

    scope = {"type": "http", "method": "POST", "path": "/v1/crop", "headers": []}
    await tracing.around(app)(scope, None, None)
    (span,) = exported.get_finished_spans()
    assert (span.attributes or {})["http.response.status_code"] == 400


@pytest.mark.parametrize(
    "sent", ["m4rk", "m4rk=1,m4rk=2", ",".join(f"m4rk{n}=1" for n in range(40))]
)
def test_no_tracestate_is_in_the_log(
    client: TestClient, caplog: pytest.LogCaptureFixture, sent: str
) -> None:
    answer = client.get("/v1/nothing", headers={**SENT, "tracestate": sent})
    assert answer.status_code == 404
    assert "m4rk" not in caplog.text
    assert not [one for one in caplog.records if one.name.startswith("opentelemetry")]

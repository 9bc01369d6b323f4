"""GET /metrics: what it counts, who may read it, and what it leaves out when something cannot be read."""

import random
import string
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient

from models.runtime.model_states import ModelState, ModelStates
from server.app import create_app
from server.errors import refusal_reasons
from server.http.scopes import Scope
from server.settings import Settings
from storage.errors import DatabaseUnavailableError
from tests.helpers.fake_models import BlockingModels, FakeModels
from tests.helpers.metrics_page import documented, scraped, series, values
from tests.helpers.requests import b64, photo

Wait = Callable[[Callable[[], bool]], None]
PHOTO = {"file": b64(photo())}
MARK = "m4rk"
LABELS = {
    *("operation", "code", "reason", "stage", "role", "le", "model", "device", "state", "outcome"),
    *("service", "version", "profile", "engine", "python", "group"),
}
"""All labels. A further one needs the question whether a stranger can multiply its values."""


class ReportingModels(FakeModels):
    """Fake models that tell which of them are loaded."""

    def model_states(self) -> ModelStates:
        loaded = ModelState("matting", "ellipse", 3, "cpu", is_loaded=True, users=0, waiting=2)
        other = ModelState("inpainting", "mean", 5, "cpu", is_loaded=False, users=0)
        return ModelStates([loaded, other], 3, 10, None, 4, 20)


@pytest.fixture
def open_client(settings: Settings) -> Iterator[TestClient]:
    """A client of a server without tokens."""
    app = create_app(settings.model_copy(update={"api_tokens": []}), ReportingModels())
    with TestClient(app, raise_server_exceptions=False, headers={"api_token": "me"}) as client:
        yield client


def read_anew(client: TestClient) -> None:
    for name in ("jobs", "storage", "disk"):
        getattr(client.app.state.admin, name)._tried_at = None  # type: ignore[attr-defined]


def test_a_request_is_counted_by_its_route_and_its_stages(open_client: TestClient) -> None:
    before = values(scraped(open_client)["retouch_stage_seconds"])
    assert open_client.post("/v1/background/remove", json=PHOTO).status_code == 200
    assert open_client.post("/v1/background/remove", json={}).status_code == 400
    found = scraped(open_client)
    assert (
        values(found["retouch_requests_total"]).items()
        >= {
            ("200", "POST /v1/background/remove"): 1,
            ("400", "POST /v1/background/remove"): 1,
        }.items()
    )
    counts = {
        (one.labels["stage"], one.labels["role"]): one.value
        for one in found["retouch_stage_seconds"].samples
        if one.name.endswith("_count")
    }
    assert not before
    assert counts == {
        ("intake", ""): 2,
        ("queue", "call"): 1,
        ("decode", ""): 1,
        ("model", "matting"): 1,
        ("compose", ""): 1,
        ("encode", ""): 1,
        ("store", ""): 1,
    }


def test_a_thousand_hostile_requests_make_no_new_series(open_client: TestClient) -> None:
    choose = random.Random(20)

    def word() -> str:
        return "".join(choose.choices(string.ascii_letters + string.digits + "\"\\{}=,'%", k=12))

    def send(number: int) -> None:
        path = ("/", "/v1/", "/v2/", "/results/", "/admin/", "/v1/crop/")[number % 6] + word()
        method = ("GET", "POST", "DELETE", word().strip("\"\\{}=,'%") or "X")[number % 4]
        headers = {"Host": f"{number}.example", "User-Agent": word(), f"X-{number}": word()}
        headers |= {"X-Request-ID": word(), "X-Forwarded-For": f"203.0.113.{number % 256}"}
        open_client.request(method, path.replace("%", "%25"), headers=headers)

    def all_series() -> set[tuple[str, ...]]:
        found = scraped(open_client)
        assert {name for one in found.values() for s in one.samples for name in s.labels} <= LABELS
        return series(found)

    for number in range(48):
        send(number)
    before = all_series() | all_series()  # the first one counts itself only in the second
    for number in range(1000):
        send(number)
    assert all_series() == before


def test_unknown_routes_and_methods_are_one_operation(open_client: TestClient) -> None:
    open_client.get(f"/{MARK}")
    open_client.request(MARK.upper(), f"/v1/{MARK}")
    open_client.request("PATCH", "/v1/crop")
    found = scraped(open_client)
    operations = {
        one.labels["operation"]: one.value for one in found["retouch_requests_total"].samples
    }
    assert operations.keys() == {"unknown"}
    assert values(found["retouch_requests_total"]) == {("404", "unknown"): 2, ("405", "unknown"): 1}


def test_refusals_have_a_reason(open_client: TestClient) -> None:
    before = values(scraped(open_client)["retouch_refusals_total"])
    assert {one for (one,) in before} == refusal_reasons()
    open_client.post("/v1/crop", json={})
    open_client.get("/nowhere")
    after = values(scraped(open_client)["retouch_refusals_total"])
    grown = {key[0] for key, value in after.items() if value > before[key]}
    assert grown == {"bad_request", "no_route"}


def test_jobs_have_states_and_the_oldest_an_age(settings: Settings, wait_until: Wait) -> None:
    models = BlockingModels()
    changes = {"workers": 1, "api_tokens": []}
    app = create_app(settings.model_copy(update=changes), models)
    with TestClient(app, headers={"api_token": "me"}) as client:
        for _ in range(2):
            answer = client.post("/v1/crop", json={**PHOTO, "sync": False})
            assert answer.status_code == 200
        assert models.started.wait(60)

        def states() -> dict[tuple[str, ...], float]:
            read_anew(client)
            return values(scraped(client)["retouch_jobs"])

        wait_until(lambda: states()["running",] == 1 and states()["waiting",] == 1)
        found = scraped(client)
        assert values(found["retouch_oldest_job_seconds"])[()] > 0
        assert values(found["retouch_tasks_waiting"]) == {("check",): 0, ("call",): 0, ("job",): 1}
        models.unblocked.set()
        wait_until(lambda: sum(states().values()) == 0)
        found = scraped(client)
        assert values(found["retouch_oldest_job_seconds"]) == {(): 0}
        assert values(found["retouch_jobs_ended_total"]) == {("completed",): 2, ("failed",): 0}


def test_places_are_in_use_while_a_caller_waits(settings: Settings) -> None:
    models = BlockingModels()
    app = create_app(settings.model_copy(update={"api_tokens": []}), models)
    with TestClient(app, headers={"api_token": "me"}) as client:
        asked = threading.Thread(target=client.post, args=["/v1/crop"], kwargs={"json": PHOTO})
        asked.start()
        assert models.started.wait(60)
        found = scraped(client)
        models.unblocked.set()
        asked.join(60)
    assert values(found["retouch_places_in_use"]) == {(): 1}
    assert values(found["retouch_places_free"]) == {(): settings.max_waiting - 1}
    assert values(found["retouch_tasks_running"]) == {(): 1}
    assert values(found["retouch_requests_in_progress"]) == {(): 2}  # the scrape too


def test_models_are_told_with_their_bytes(open_client: TestClient) -> None:
    found = scraped(open_client)
    first, second = ("cpu", "ellipse", "matting"), ("cpu", "mean", "inpainting")
    assert values(found["retouch_model_loaded"]) == {first: 1, second: 0}
    assert values(found["retouch_model_bytes"]) == {first: 3 << 20, second: 0}
    assert values(found["retouch_model_calls_waiting"]) == {first: 2}
    assert values(found["retouch_models_bytes"]) == {(): 3 << 20}
    assert values(found["retouch_models_evicted_bytes"]) == {(): 4 << 20}


def test_what_cannot_be_read_is_left_out_and_counted(
    open_client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise DatabaseUnavailableError("away")

    def break_down(*_: Any) -> None:
        raise ValueError("a fault of the program")

    read_anew(open_client)
    admin = open_client.app.state.admin  # type: ignore[attr-defined]
    monkeypatch.setattr(admin.jobs, "_read", fail)
    monkeypatch.setattr("server.metrics.report.models", break_down)
    found = scraped(open_client)
    assert not found.keys() & {"retouch_jobs", "retouch_oldest_job_seconds", "retouch_model_loaded"}
    assert {"retouch_places_free", "retouch_disk_free_bytes", "retouch_ready"} <= found.keys()
    errors = {key for key, count in values(found["retouch_scrape_errors_total"]).items() if count}
    assert errors == {("jobs",), ("models",)}


def test_every_metric_is_documented_and_every_documented_one_exists(
    open_client: TestClient,
) -> None:
    assert scraped(open_client).keys() == documented()


def test_open_metrics_is_sent_to_who_asks_for_it(open_client: TestClient) -> None:
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = open_client.get("/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("kind", ["application/openmetrics-text", "text/plain"])
def test_a_version_that_is_no_number_gets_the_plain_format(
    open_client: TestClient, kind: str
) -> None:
    answer = open_client.get("/metrics", headers={"Accept": f"{kind};version=newest"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert "retouch_ready" in answer.text


def of(client: TestClient, headers: dict[str, str]) -> httpx.Response:
    return client.get("/metrics", headers={"api_token": "", **headers})


def test_only_operators_read_the_metrics_of_a_server_with_tokens(client: TestClient) -> None:
    table = client.app.state.dependencies.tokens._table  # type: ignore[attr-defined]
    admin = table.create("ops", MARK, [Scope.ADMIN])[0]
    edit = table.create("ops", "editor", [Scope.EDIT])[0]
    assert of(client, {}).status_code == 401
    assert of(client, {"Authorization": "Bearer of-nobody"}).status_code == 401
    assert of(client, {"Authorization": f"Bearer {edit}"}).status_code == 403
    assert of(client, {"api_token": "secret-a"}).status_code == 403  # one organisation of two
    answer = of(client, {"Authorization": f"Bearer {admin}"})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert MARK not in answer.text
    assert "ops" not in answer.text.split()

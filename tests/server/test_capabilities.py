"""GET /capabilities: what works, why the rest does not, the models, and how long things take."""

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.catalog import profile
from models.catalog.profile import load_profile
from models.roles import FACE_EDITING, MATTING, MODERATION, SCENE_GENERATION
from models.runtime.model_states import ModelStates
from server.app import create_app
from server.operations import OPERATIONS
from server.settings import Settings
from server.v1 import VISUAL_QUERIES
from tests.helpers.answers import refused
from tests.helpers.fake_models import FakeModels, GenerativeModels
from tests.helpers.requests import TOKEN, b64, photo
from tests.helpers.route_needs import NEEDS, SENT


def states(client: TestClient) -> dict[str, dict[str, Any]]:
    """Return the state of each route, by path."""
    answer = client.get("/capabilities")
    assert answer.status_code == 200, answer.text
    return {state["path"]: state for state in answer.json()["operations"]}


def test_every_route_is_described(client: TestClient) -> None:
    paths = {operation.url for operation in OPERATIONS}
    paths |= {f"/v1{query.path}" for query in VISUAL_QUERIES}
    assert set(states(client)) == paths | {
        "/v1/register",
        "/v1/upload",
        "/v1/{visual_id}/remove_image",
    }


def test_it_is_compressed_for_who_takes_it(client: TestClient) -> None:
    sizes = {}
    for coding in ("identity", "gzip"):
        with client.stream("GET", "/capabilities", headers={"accept-encoding": coding}) as answer:
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["cache-control"] == "private, no-cache"
            sizes[coding] = sum(len(part) for part in answer.iter_raw())
    assert 5 * sizes["gzip"] < sizes["identity"]


def test_what_is_unavailable_answers_506_with_the_same_reason(client: TestClient) -> None:
    state = states(client)["/v1/gen_fill"]
    assert state["available"] is False
    assert state["expected_seconds"] is None
    body = {"file": b64(photo()), **SENT["/gen_fill"]}
    assert refused(client.post("/v1/gen_fill", json=body), 506)["description"] == state["reason"]
    assert "RETOUCH_PROFILE=" in state["reason"]


def test_no_profile_is_read_for_a_request(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may ask a server without tokens, as often as they like."""
    first = states(client)

    def read(path: Path) -> dict[str, Any]:
        raise AssertionError(f"{path} was read")

    monkeypatch.setattr(profile, "_read", read)
    assert states(client) == first
    body = {"file": b64(photo()), **SENT["/gen_fill"]}
    refused(client.post("/v1/gen_fill", json=body), 506)


def test_needs_are_those_without_which_a_request_is_refused() -> None:
    for operation in OPERATIONS:
        needed = set(operation.needs(FakeModels()))
        assert needed - {FACE_EDITING} == NEEDS[operation.key], operation.key


def test_models_are_those_of_the_profile(client: TestClient) -> None:
    answer = client.get("/capabilities").json()
    assert answer["profile"] == "lite"
    rows = {row["role"]: row for row in answer["models"]}
    cards = load_profile("lite")
    assert rows.keys() == {role.name for role in cards}
    matting = cards[MATTING]
    assert rows["matting"] == {
        "role": "matting",
        "model": matting.name,
        "licence": matting.licence,
        "memory_mb": matting.memory_mb,
        "device": None,  # of the models of tests
        "dtype": None,
        "expected_seconds": matting.seconds,
    }


def test_it_tells_how_many_gpus_are_idle(settings: Settings) -> None:
    class Engine(FakeModels):
        def model_states(self) -> ModelStates:
            return ModelStates([], device="cuda:0, H200", idle_gpus=7)

    with TestClient(create_app(settings, Engine()), headers=TOKEN) as client:
        told = client.get("/capabilities").json()
    assert (told["device"], told["idle_gpus"]) == ("cuda:0, H200", 7)


def test_limits_name_what_the_profile_cannot_do(settings: Settings) -> None:
    path = "/v1/background/replace"
    with TestClient(create_app(settings, FakeModels()), headers=TOKEN) as client:
        assert any("colours" in text for text in states(client)[path]["limits"])
    models = GenerativeModels()
    assert models.offers(SCENE_GENERATION)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        assert not any("colours" in text for text in states(client)[path]["limits"])


def test_limits_of_slow_models_hold_only_for_callers_who_wait(
    settings: Settings, tmp_path: Path
) -> None:
    own = tmp_path / "own.toml"
    rows = ("generative_fill", "fill"), ("scene_generation", "scene"), ("outpainting", "outpaint")
    cards = "".join(f'{role} = "sd15-lcm-{name}"\n' for role, name in rows)
    own.write_text(f'base = "lite"\n{cards}')
    changed = settings.model_copy(update={"profile": str(own)})
    with TestClient(create_app(changed, GenerativeModels()), headers=TOKEN) as client:
        found = states(client)
    assert found["/v1/gen_fill"]["limits"] == [
        "only requests with sync=false: the model takes minutes"
    ]
    # Plain colours and margins without a prompt are made at once.
    for path in ("/v1/background/replace", "/v1/image_expansion"):
        (limit,) = found[path]["limits"]
        assert limit.startswith("with sync=true: ")
    assert found["/v1/background/remove"]["limits"] == []


def test_the_time_is_the_cards_and_then_measured_too(client: TestClient) -> None:
    before = states(client)["/v1/background/remove"]
    assert before["expected_seconds"] == load_profile("lite")[MATTING].seconds
    assert before["measured_seconds"] is None
    assert client.post("/v1/background/remove", json={"file": b64(photo())}).status_code == 200
    after = states(client)["/v1/background/remove"]
    assert 0 <= after["measured_seconds"] < 60
    assert states(client)["/v1/crop"]["measured_seconds"] is None


def test_it_needs_a_token_only_if_the_settings_have_tokens(settings: Settings) -> None:
    with TestClient(create_app(settings, FakeModels())) as client:
        refused(client.get("/capabilities"), 401)
        assert client.get("/capabilities", headers=TOKEN).json()["needs_token"]
    open_to_all = settings.model_copy(update={"api_tokens": ()})
    with TestClient(create_app(open_to_all, FakeModels())) as client:
        assert not client.get("/capabilities").json()["needs_token"]


def test_a_missing_moderation_model_is_told(settings: Settings) -> None:
    models = FakeModels()
    models.fakes = {role: fake for role, fake in FakeModels.fakes.items() if role != MODERATION}
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        for state in states(client).values():
            if state["available"] and state["operation"] in {o.name for o in OPERATIONS}:
                assert any("content_moderation" in text for text in state["limits"]), state

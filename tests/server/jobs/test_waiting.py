"""Models that take minutes: sync=true is refused at once with the reason, sync=false is served."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from models.roles import OUTPAINTING
from server.app import create_app
from server.settings import Settings
from tests.helpers.answers import local, refused
from tests.helpers.fake_models import GenerativeModels
from tests.helpers.requests import TOKEN, b64, mask, photo

PROFILE = """
base = "lite"
generative_fill = "sd15-lcm-fill"
scene_generation = "sd15-lcm-scene"
outpainting = "sd15-lcm-outpaint"
"""
FILL = {"mask_file": b64(mask()), "prompt": "a dog"}
SCENE = {"bg_prompt": "a beach at noon"}


class CountedModels(GenerativeModels):
    """Remembers the roles that were used."""

    def __init__(self) -> None:
        super().__init__()
        self.used: list[str] = []

    def before(self, role: Any) -> None:
        self.used.append(role.name)


@pytest.fixture
def models() -> CountedModels:
    return CountedModels()


@pytest.fixture
def slow(tmp_path: Path, models: CountedModels) -> Iterator[TestClient]:
    """A client of a server whose generative models are the slow ones."""
    profile = tmp_path / "mine.toml"
    profile.write_text(PROFILE)
    settings = Settings(data_dir=tmp_path / "data", profile=str(profile), workers=2)
    app = create_app(settings, models)
    with TestClient(app, raise_server_exceptions=False, headers=TOKEN) as client:
        yield client


@pytest.mark.parametrize(("path", "fields"), [("gen_fill", FILL), ("background/replace", SCENE)])
def test_a_caller_who_waits_is_refused_and_no_model_runs(
    slow: TestClient, models: CountedModels, path: str, fields: dict[str, str]
) -> None:
    sent = {"file": b64(photo()), **fields, "sync": True}
    body = refused(slow.post(f"/v1/{path}", json=sent), 506)
    assert "sync=false" in body["description"]
    assert "90 seconds" in body["description"]
    assert body["parameter"] == "sync"
    assert models.used == []


@pytest.mark.parametrize(("path", "fields"), [("gen_fill", FILL), ("background/replace", SCENE)])
def test_a_job_is_served(
    slow: TestClient,
    path: str,
    fields: dict[str, str],
    wait_until: Callable[[Callable[[], bool]], None],
) -> None:
    sent = {"file": b64(photo()), **fields, "sync": False, "num_results": 1}
    answer = slow.post(f"/v1/{path}", json=sent)
    assert answer.status_code == 200, answer.text
    text = answer.json()
    link = local(text["urls"][0] if "urls" in text else text["result"][0][0])
    wait_until(lambda: slow.get(link).status_code != 404)
    assert slow.get(link).status_code == 200


def test_what_has_a_substitute_uses_it_while_a_caller_waits(
    slow: TestClient, models: CountedModels
) -> None:
    expand = {
        "file": b64(photo()),
        "canvas_size": [200, 160],
        "original_image_size": [96, 64],
        "original_image_location": [50, 50],
    }
    assert slow.post("/v1/image_expansion", json=expand).status_code == 200
    assert OUTPAINTING.name not in models.used
    colour = {"file": b64(photo()), "bg_prompt": "#ff0000", "sync": True}
    assert slow.post("/v1/background/replace", json=colour).status_code == 200


def test_the_start_says_how_long_it_takes(
    tmp_path: Path, models: CountedModels, caplog: pytest.LogCaptureFixture
) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(PROFILE)
    with caplog.at_level(logging.INFO, "retouch"):
        create_app(Settings(data_dir=tmp_path / "data", profile=str(profile)), models)
    assert "generative_fill takes about 90 s" in caplog.text

"""The requests of programs that edit and generate by words have their results, with fakes for every role."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from server.app import create_app
from server.settings import Settings
from tests.helpers.calls_by_words import CALLS, ONE_TONE, WordsCall, check_result
from tests.helpers.fake_models import FakeModels, GenerativeModels
from tests.helpers.requests import TOKEN
from tests.helpers.version2 import finished, picture, refused

PICTURES = [call for call in CALLS if "image_url" in call.reads]
"""The others put words into a form, which every profile can do."""


@pytest.fixture(scope="module")
def generative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with fakes for every role."""
    yield from _client(tmp_path_factory, GenerativeModels())


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A client of a server with fakes for the roles of `lite`."""
    yield from _client(tmp_path_factory, FakeModels())


def _client(folders: pytest.TempPathFactory, models: FakeModels) -> Iterator[TestClient]:
    settings = Settings(data_dir=folders.mktemp("words"), api_tokens="a:secret-a", workers=2)
    with TestClient(create_app(settings, models), headers=TOKEN) as client:
        yield client


@pytest.mark.parametrize("call", [*CALLS, *ONE_TONE], ids=lambda call: str(call.name))
def test_a_call_has_what_its_program_reads(generative: TestClient, call: WordsCall) -> None:
    state = finished(generative, generative.post(f"/v2/{call.path}", json=dict(call.fields)))
    assert state["status"] == "COMPLETED", state
    check_result(call, state["result"])
    if "image_url" in call.reads:
        assert picture(generative, state["result"]).format in ("PNG", "JPEG")


@pytest.mark.parametrize("call", PICTURES, ids=lambda call: str(call.name))
def test_a_profile_without_the_model_says_so_in_both_texts(
    lite: TestClient, call: WordsCall
) -> None:
    error = refused(lite.post(f"/v2/{call.path}", json=dict(call.fields)), 506)
    for text in (error["message"], error["details"]):
        assert "rofile" in text


@pytest.mark.parametrize("call", ONE_TONE, ids=lambda call: str(call.name))
def test_one_tone_needs_no_model(lite: TestClient, call: WordsCall) -> None:
    state = finished(lite, lite.post(f"/v2/{call.path}", json=dict(call.fields)))
    assert state["status"] == "COMPLETED", state
    check_result(call, state["result"])

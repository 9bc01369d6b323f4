"""The published client of version 2 and other callers, on a real server with profile `tiny`."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from bria_client import BriaSyncClient
from PIL import Image

from tests.helpers.calls_by_words import CALLS as BY_WORDS
from tests.helpers.calls_by_words import WordsCall, check_result
from tests.helpers.calls_v2 import GENERATIVE as CALLS
from tests.helpers.calls_v2 import Call, followed, result_of
from tests.helpers.requests_v2 import GENERATIVE, IMAGE_FIELD, LITE, SIDE
from tests.helpers.server_process import Server

REPLACE = "image/edit/replace_background"
FILL = "image/edit/gen_fill"
_TIMEOUT_S = 300


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The program in its own process, with tiny weights of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    weights = folder / "weights"
    weights.mkdir()
    server = Server(folder, weights)
    yield server.start(PROFILE="tiny", DEVICE="cpu")
    server.close()


@pytest.fixture(scope="module")
def client(running: Server) -> Iterator[Any]:
    """A client with the token of an organisation."""
    client: Any = BriaSyncClient(base_url=str(running.http.base_url), api_token="secret-a")
    # The client gives up after a time that a busy machine takes for a synchronous call.
    client.engine.client.request_timeout = _TIMEOUT_S
    yield client
    client.close()


def size(running: Server, link: str) -> tuple[int, int]:
    """Return the size of the picture behind a link."""
    picture = Image.open(BytesIO(running.read(link).content))
    picture.load()
    return picture.size


@pytest.mark.parametrize("endpoint", GENERATIVE)
def test_submit_and_poll_return_the_result_and_its_prompts(
    running: Server, client: Any, endpoint: str
) -> None:
    submitted = client.submit(endpoint, {**GENERATIVE[endpoint], "seed": 7}, raise_for_status=True)
    result = client.poll(submitted, interval=0.1, timeout=_TIMEOUT_S).result
    assert min(size(running, result.image_url)) > 0
    assert result.seed == 7
    assert result.refined_prompt is None or isinstance(result.refined_prompt, str)
    if endpoint == FILL:
        assert size(running, result.image_url) == (SIDE, SIDE)
        assert result.prompt == "a red hat"


def test_run_fills_the_mask(running: Server, client: Any) -> None:
    result = client.run(FILL, GENERATIVE[FILL], raise_for_status=True).result
    assert size(running, result.image_url) == (SIDE, SIDE)


@pytest.mark.parametrize("pictures", [IMAGE_FIELD, [IMAGE_FIELD]], ids=["one", "a list"])
def test_a_reference_picture_stands_for_a_prompt(client: Any, pictures: Any) -> None:
    fields = {"image": IMAGE_FIELD, "ref_images": pictures}
    assert client.run(REPLACE, fields, raise_for_status=True).result.image_url


def test_both_or_neither_are_refused(client: Any) -> None:
    both = {"image": IMAGE_FIELD, "prompt": "a beach", "ref_images": [IMAGE_FIELD]}
    for fields in (both, {"image": IMAGE_FIELD}, {**both, "prompt": " ", "ref_images": []}):
        assert client.run(REPLACE, fields).error.code == 400


def test_expand_tells_the_prompt_that_it_made_from_the_picture(client: Any) -> None:
    result = client.run(
        "image/edit/expand", LITE["image/edit/expand"], raise_for_status=True
    ).result
    assert isinstance(result.prompt, str)
    assert result.prompt


@pytest.mark.parametrize("call", CALLS, ids=lambda call: str(call.name))
def test_a_call_has_its_result(running: Server, call: Call) -> None:
    result = result_of(running, call)
    assert min(size(running, result["image_url"])) > 0
    if "seed" in call.fields:
        assert result["seed"] == call.fields["seed"]


@pytest.mark.parametrize("call", BY_WORDS, ids=lambda call: str(call.name))
def test_a_call_by_words_has_what_its_program_reads(running: Server, call: WordsCall) -> None:
    told = followed(running.http.post(f"/v2/{call.path}", json=dict(call.fields)))
    assert told["status"] == "COMPLETED", told
    check_result(call, told["result"])
    if "image_url" in call.reads:
        assert min(size(running, told["result"]["image_url"])) > 0

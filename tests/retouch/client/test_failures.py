"""What goes wrong between a client and a server: each refusal, lost answers, jobs that fail, time limits."""

import asyncio
import re
import socket
import threading
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imaging.picture import Matte, Rgb
from models.roles import MATTING, Role
from retouch.client import (
    ApiError,
    AsyncClient,
    Client,
    ContentRefusedError,
    FetchError,
    Limits,
    NoAnswerError,
    TimeLimitError,
)
from tests.helpers.both_clients import KINDS, Serve, Served
from tests.helpers.fake_models import EllipseMatting, FakeModels
from tests.helpers.requests import encode, mask, photo

pytestmark = pytest.mark.parametrize("kind", KINDS)
RED = {"image": photo(), "bg_prompt": "#ff0000", "num_results": 1, "content_moderation": True}
RED_V2 = {"image": photo(), "prompt": "#ff0000", "visual_output_content_moderation": True}


BLACK = encode(Image.new("RGB", (64, 48)))
"""A picture without a subject."""


class NoneInBlack:
    """Finds an ellipse as the subject, and nothing in a black picture."""

    def matte(self, rgb: Rgb) -> Matte:
        """Return 255 on the subject and 0 elsewhere."""
        return EllipseMatting().matte(rgb) * np.uint8(rgb.any())


class Paused(FakeModels):
    """Models that wait while a test holds them."""

    def __init__(self) -> None:
        super().__init__({MATTING: NoneInBlack()})
        self.may_run = threading.Event()
        self.may_run.set()

    def before(self, role: Role[Any]) -> None:
        """Wait until the test lets the call run."""
        assert self.may_run.wait(30)


@pytest.fixture(scope="module")
def fakes() -> Paused:
    """The models of `served`."""
    return Paused()


@pytest.fixture(scope="module")
def served(serve: Serve, fakes: Paused) -> Served:
    """A server with fake models, whose moderation blocks a red background."""
    return serve(fakes, moderation_threshold=0.5)


@pytest.fixture(scope="module")
def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_wrong_token_is_refused(served: Served, kind: str) -> None:
    with pytest.raises(ApiError, match=r"(?i)invalid.*token|token.*invalid") as caught:
        served.client(kind, "wrong-ä").call("crop", image=photo())
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("path", ["crop", "v2/image/edit/crop_foreground"])
def test_a_picture_that_cannot_be_fetched_is_460(
    served: Served, kind: str, path: str, closed_port: int
) -> None:
    with pytest.raises(FetchError) as caught:
        served.client(kind).call(path, image=f"http://127.0.0.1:{closed_port}/a.jpg")
    assert caught.value.code == 460
    assert re.fullmatch("[0-9a-f]{32}", caught.value.request_id or "")


def test_a_wrong_field_is_named(served: Served, kind: str) -> None:
    with pytest.raises(ApiError, match=r"\[400\] \[scale\]") as caught:
        served.client(kind).call("background/blur", image=photo(), scale=9)
    assert (caught.value.code, caught.value.parameter) == (400, "scale")
    assert type(caught.value) is ApiError
    with pytest.raises(TypeError, match="object"):
        served.client(kind).call("background/blur", image=object())


def test_a_blocked_result_is_content_refused(served: Served, kind: str) -> None:
    client = served.client(kind)
    for sync in (True, False):
        with pytest.raises(ContentRefusedError) as caught:
            client.wait(client.call("background/replace", **RED, sync=sync))
        assert (caught.value.code, caught.value.status) == (422, "CONTENT_BLOCKED")
        with pytest.raises(ContentRefusedError) as caught:
            client.wait(client.call("v2/image/edit/replace_background", **RED_V2, sync=sync))
        assert caught.value.code == 422
        assert caught.value.request_id
    promised = client.call("background/replace", **RED, sync=False)
    with pytest.raises(ContentRefusedError):
        client.wait(promised)
    with pytest.raises(ContentRefusedError):
        client.download(promised.links[0])


def test_the_error_of_a_failed_job_is_raised_by_wait(served: Served, kind: str) -> None:
    client = served.client(kind)
    for path in ("crop", "v2/image/edit/crop_foreground"):
        answer = client.call(path, image=BLACK, sync=False)
        with pytest.raises(ApiError, match="foreground") as caught:
            client.wait(answer)
        assert caught.value.code == 506


def test_an_unknown_request_is_404(served: Served, kind: str) -> None:
    client = served.client(kind)
    with pytest.raises(ApiError) as caught:
        client.get("v2/status/unknown")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    link = client.call("crop", image=photo()).links[0]
    with pytest.raises(ApiError) as caught:
        client.download(link[:-1] + ("0" if link[-1] != "0" else "1"))
    assert caught.value.code == 403


@pytest.mark.parametrize("path", ["eraser", "v2/image/edit/erase"])
def test_a_call_whose_answer_is_lost_runs_once(
    served: Served, fakes: Paused, kind: str, path: str
) -> None:
    lost = ["POST", "POST", "GET"]
    client, before = served.client(kind, lost=lost), fakes.use_count
    answer = client.wait(client.call(path, image=photo(), mask=mask(), sync=False))
    assert client.download(answer.links[0])
    assert lost == []
    assert fakes.use_count == before + 1


def test_a_key_of_the_caller_is_used(served: Served, fakes: Paused, kind: str) -> None:
    client, before = served.client(kind), fakes.use_count
    fields = {"image": photo(), "mask": mask(), "idempotency_key": f"mine-{kind}"}
    assert client.call("eraser", **fields).links == client.call("eraser", **fields).links
    assert fakes.use_count == before + 1
    with pytest.raises(ApiError) as caught:
        client.call("eraser", **{**fields, "mask_type": "automatic"})
    assert (caught.value.code, type(caught.value)) == (422, ApiError)


def test_the_tries_end(served: Served, kind: str) -> None:
    client = served.client(kind, lost=["POST"] * 9)
    with pytest.raises(NoAnswerError, match="/v1/crop: the answer was lost"):
        client.call("crop", image=photo())


def test_a_refused_connection_has_no_answer(kind: str, closed_port: int) -> None:
    address, limits = f"http://127.0.0.1:{closed_port}", Limits(tries=2)

    def register() -> None:
        with Client(address, "me", limits) as client:
            client.register(photo())

    async def register_async() -> None:
        async with AsyncClient(address, "me", limits) as client:
            await client.register(photo())

    with pytest.raises(NoAnswerError) as caught:
        register() if kind == "sync" else asyncio.run(register_async())
    assert caught.value.code is None


@pytest.mark.parametrize("path", ["crop", "v2/image/edit/crop_foreground"])
def test_who_waited_too_short_can_wait_again(
    served: Served, fakes: Paused, kind: str, path: str
) -> None:
    client = served.client(kind)
    fakes.may_run.clear()
    try:
        answer = client.call(path, image=photo(), sync=False)
        with pytest.raises(TimeLimitError):
            client.wait(answer, seconds=0.1)
    finally:
        fakes.may_run.set()
    assert client.download(client.wait(answer).links[0])

"""The published Python client of version 2, `bria-client`, edits pictures on a real server.

It is unchanged; only the address that it calls is this server's.
"""

import asyncio
import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from bria_client import BriaAsyncClient, BriaSyncClient
from bria_client.toolkit import BriaException, Image, Status, verify_webhook_signature
from PIL import Image as Pillow

from tests.helpers.file_server import file_server
from tests.helpers.requests_v2 import (
    GENERATIVE,
    IMAGE_FIELD,
    LITE,
    PHOTOGRAPH,
    SIDE,
    SYNCHRONOUS,
)
from tests.helpers.server_process import Server
from tests.helpers.webhook_receiver import Receiver, receiving

REMOVE = "image/edit/remove_background"
_TIMEOUT_S = 300
SIZES = {
    "image/edit/erase": (SIDE, SIDE),
    "image/edit/remove_background": (SIDE, SIDE),
    "image/edit/erase_foreground": (SIDE, SIDE),
    "image/edit/blur_background": (SIDE, SIDE),
    "image/edit/expand": (SIDE * 16 // 9, SIDE),
    "image/edit/increase_resolution": (SIDE * 2, SIDE * 2),
    "image/edit/enhance": (SIDE * 2, SIDE * 2),
    "image/segment/all_masks": (SIDE, SIDE),
}
"""Of the results whose size follows from the request."""


def address(running: Server) -> str:
    """Return where the server listens."""
    return str(running.http.base_url).rstrip("/")


def patient(client: Any) -> Any:
    """Return a client that waits longer than its 30 seconds, for a machine that is busy with other tests."""
    client.engine.client.request_timeout = _TIMEOUT_S
    return client


@pytest.fixture(scope="module")
def client(running: Server) -> Iterator[Any]:
    """A client with the token of an organisation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRIA_BASE_URL", address(running) + "/")
        client = patient(BriaSyncClient(api_token="secret-a"))
    yield client
    client.close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    """A server that receives webhooks."""
    with receiving() as receiver:
        yield receiver


def pictures(running: Server, response: Any) -> list[Pillow.Image]:
    """Return the pictures of a response's result."""
    result = response.result
    links = (
        [m["image_url"] for m in result.masks] if hasattr(result, "masks") else [result.image_url]
    )
    assert links
    return [Pillow.open(BytesIO(running.read(link).content)) for link in links]


def check_completed(running: Server, endpoint: str, response: Any) -> None:
    """Check that a response has a result of the right size."""
    assert (response.status, response.error) == (Status.COMPLETED, None)
    for picture in pictures(running, response):
        picture.load()
        width, height = SIZES.get(endpoint, picture.size)
        assert picture.width == pytest.approx(width, abs=1)
        assert picture.height == height


@pytest.mark.parametrize("endpoint", SYNCHRONOUS)
def test_run_returns_the_result(running: Server, client: Any, endpoint: str) -> None:
    response = client.run(endpoint, LITE[endpoint], raise_for_status=True)
    check_completed(running, endpoint, response)


@pytest.mark.parametrize("endpoint", LITE)
def test_submit_and_poll_return_the_result(running: Server, client: Any, endpoint: str) -> None:
    submitted = client.submit(endpoint, LITE[endpoint], raise_for_status=True)
    assert submitted.in_progress
    assert submitted.status_url == f"{address(running)}/v2/status/{submitted.request_id}"
    response = client.poll(submitted, interval=0.05, timeout=_TIMEOUT_S)
    assert response.request_id == submitted.request_id
    check_completed(running, endpoint, response)
    assert client.status(submitted.request_id) == Status.COMPLETED


def test_run_of_an_asynchronous_route_returns_where_to_ask(running: Server, client: Any) -> None:
    response = client.run("image/edit/enhance", LITE["image/edit/enhance"])
    assert response.in_progress
    check_completed(
        running, "image/edit/enhance", client.poll(response, interval=0.05, timeout=_TIMEOUT_S)
    )


@pytest.mark.parametrize("endpoint", [f"/{REMOVE}", f"v2/{REMOVE}", f"/v2/{REMOVE}/"])
def test_every_spelling_of_an_endpoint_works(client: Any, endpoint: str) -> None:
    client.run(endpoint, LITE[REMOVE], raise_for_status=True)


def test_its_own_images_are_accepted_in_every_form(running: Server, client: Any) -> None:
    with Pillow.open(BytesIO(PHOTOGRAPH)) as opened:
        opened.load()
        forms: list[Any] = [opened.convert("RGB"), np.asarray(opened.convert("RGB"))]
    forms.append(f"data:image/jpeg;base64,{IMAGE_FIELD}")
    with file_server({"photograph.jpg": PHOTOGRAPH}) as files:
        forms.append(f"{files}/photograph.jpg")
        results = [
            client.run(REMOVE, {"image": Image(form).as_bria_api_input}, raise_for_status=True)
            for form in forms
        ]
    cuts = [np.asarray(pictures(running, result)[0].getchannel("A")) for result in results]
    for cut in cuts[1:]:
        assert np.abs(cut.astype(int) - cuts[0]).max() == 0


def test_fields_that_are_none_are_as_if_absent(client: Any) -> None:
    fields = {**LITE[REMOVE], "preserve_alpha": None, "bg_color": None}
    client.run(REMOVE, fields, raise_for_status=True)


def test_the_asynchronous_client_does_the_same(running: Server) -> None:
    async def edit() -> list[Any]:
        client = patient(BriaAsyncClient(base_url=address(running), api_token="secret-a"))
        submitted = [await client.submit(name, LITE[name]) for name in (REMOVE, "image/edit/erase")]
        results = [
            *(client.poll(one, interval=0.05, timeout=_TIMEOUT_S) for one in submitted),
            client.run(REMOVE, LITE[REMOVE]),
        ]
        done = await asyncio.gather(*results)
        await client.aclose()
        return list(done)

    removed, erased, ran = asyncio.run(edit())
    check_completed(running, REMOVE, removed)
    check_completed(running, "image/edit/erase", erased)
    check_completed(running, REMOVE, ran)


@pytest.mark.parametrize(
    ("endpoint", "fields", "code", "said"),
    [
        (REMOVE, {}, 400, "image"),
        (REMOVE, {"image": "bm90IGEgcGljdHVyZQ=="}, 415, "image"),
        (REMOVE, {"image": "http://picture.invalid/a.jpg"}, 460, "image"),
        ("image/edit/blur_background", {"image": IMAGE_FIELD, "scale": 9}, 400, "scale"),
        ("image/edit/gen_fill", GENERATIVE["image/edit/gen_fill"], 506, "profile"),
        (
            "image/edit/remove_background/guided",
            {"image": IMAGE_FIELD, "prompt": "x"},
            404,
            "guided",
        ),
    ],
)
def test_a_refusal_is_an_error_with_code_message_and_details(
    client: Any, endpoint: str, fields: dict[str, Any], code: int, said: str
) -> None:
    response = client.submit(endpoint, fields)
    assert response.status == Status.FAILED
    assert len(response.request_id) == 32
    assert response.error.code == code
    assert response.error.message
    assert said in response.error.details
    with pytest.raises(BriaException) as raised:
        response.raise_for_status()
    assert (raised.value.code, raised.value.details) == (code, response.error.details)


def test_a_token_that_is_unknown_is_401(client: Any) -> None:
    response = client.run(REMOVE, LITE[REMOVE], api_token="nobody's")
    assert response.error.code == 401


def test_an_unknown_request_and_one_of_another_organisation_are_404(client: Any) -> None:
    submitted = client.submit(REMOVE, LITE[REMOVE])
    for request_id, token in ((uuid.uuid4().hex, "secret-a"), (submitted.request_id, "secret-b")):
        with pytest.raises(BriaException) as raised:
            client.poll(request_id, api_token=token)
        assert raised.value.code == 404
        assert "NOT_FOUND" in str(raised.value.details)
    assert client.poll(submitted, interval=0.05, timeout=_TIMEOUT_S).status == Status.COMPLETED


def test_a_video_cannot_be_uploaded(client: Any, tmp_path: Any) -> None:
    with pytest.raises(BriaException) as raised:
        client.upload(tmp_path / "a.mp4", "video/mp4")
    assert raised.value.code == 404


def test_a_webhook_has_a_signature_that_the_client_verifies(
    client: Any, receiver: Receiver
) -> None:
    submitted = client.submit(
        REMOVE, LITE[REMOVE], webhook_url=receiver.url("/done"), raise_for_status=True
    )
    delivery = receiver.wait_for("/done")
    sent = {
        "payload": delivery.body,
        "webhook_id": delivery.headers["Bria-Webhook-Id"],
        "timestamp": delivery.headers["Bria-Webhook-Timestamp"],
        "signature_header": delivery.headers["Bria-Webhook-Signature"],
    }
    assert sent["webhook_id"] == submitted.request_id
    assert verify_webhook_signature(**sent, api_token="secret-a")
    assert not verify_webhook_signature(**sent, api_token="secret-b")
    told = delivery.answer
    assert (told["status"], told["request_id"]) == ("COMPLETED", submitted.request_id)
    assert told["result"]["image_url"]

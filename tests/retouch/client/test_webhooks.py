"""Webhooks: genuine ones are read, and forged and old ones are refused."""

import time

import pytest

from retouch.client import ApiError, InvalidWebhookError, read_webhook
from server.webhooks.signing import sign, signing_key
from tests.helpers.both_clients import Serve
from tests.helpers.fake_models import FakeModels
from tests.helpers.requests import photo
from tests.helpers.webhook_receiver import receiving

TOKEN = "secret-ä"
BODY = b'{"status":"COMPLETED","request_id":"7","result":{"image_url":"http://a/b.png"}}'
FAILED = b'{"status":"ERROR","request_id":"7","error":{"code":506,"message":"no","details":"no"}}'


def headers(body: bytes = BODY, age_s: int = 0, **changed: str) -> dict[str, str]:
    """Return the headers of a webhook that was signed some time ago."""
    timestamp = int(time.time()) - age_s
    return {
        "bria-webhook-id": "7",
        "Bria-Webhook-Timestamp": str(timestamp),
        "Bria-Webhook-Signature": sign(signing_key(TOKEN), "7", timestamp, body),
    } | {f"Bria-Webhook-{name}": value for name, value in changed.items()}


def test_a_genuine_webhook_is_read() -> None:
    answer = read_webhook(TOKEN, headers(), BODY)
    assert (answer.request_id, answer.links) == ("7", ["http://a/b.png"])
    several = "v1=AAAA, " + headers()["Bria-Webhook-Signature"]
    assert read_webhook(TOKEN, headers(Signature=several), BODY) == answer
    assert read_webhook(TOKEN, headers(age_s=600), BODY, max_age_s=3600) == answer


def test_a_genuine_webhook_of_a_failed_request_raises_its_error() -> None:
    with pytest.raises(ApiError) as caught:
        read_webhook(TOKEN, headers(FAILED), FAILED)
    assert (caught.value.code, caught.value.request_id) == (506, "7")


def test_others_are_refused() -> None:
    for token, told, body in (
        ("other", headers(), BODY),
        (TOKEN, headers(), BODY + b" "),
        (TOKEN, headers() | {"bria-webhook-id": "8"}, BODY),
        (TOKEN, headers(Signature="v1=ä"), BODY),
        (TOKEN, headers(Timestamp=str(int(time.time()) - 1)), BODY),
        (TOKEN, headers(Timestamp="soon"), BODY),
        (TOKEN, headers(age_s=600), BODY),
        (TOKEN, headers(age_s=-600), BODY),
        (TOKEN, {}, BODY),
    ):
        with pytest.raises(InvalidWebhookError, match="signature"):
            read_webhook(token, told, body)
    going = b'{"status":"IN_PROGRESS","request_id":"7"}'
    with pytest.raises(InvalidWebhookError, match="final"):
        read_webhook(TOKEN, headers(going), going)


def test_what_the_server_sends_is_genuine(serve: Serve) -> None:
    with receiving() as receiver:
        client = serve(FakeModels()).client("sync")
        told = client.call(
            "v2/image/edit/crop_foreground", image=photo(), webhook_url=receiver.url("/ok")
        )
        arrived = receiver.wait_for("/ok")
        answer = read_webhook("secret-a", arrived.headers, arrived.body)
        assert answer.request_id == told.request_id
        assert answer.links == client.wait(told).links

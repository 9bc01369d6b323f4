"""The code on the page about webhooks accepts what the server signs, and nothing else."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from server.webhooks.signing import sign, signing_key
from tests.helpers.places import ROOT

TOKEN = "secret-ä"
BODY = b'{"status":"COMPLETED","request_id":"1","result":{}}'

IsGenuine = Callable[..., bool]


@pytest.fixture(scope="module")
def is_genuine() -> IsGenuine:
    """The function of the page."""
    page = (ROOT / "docs" / "webhooks.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: IsGenuine = names["is_genuine"]
    return found


def headers(age_s: int = 0, **changed: str) -> dict[str, str]:
    """Return the headers of a webhook that was signed some time ago."""
    timestamp = int(time.time()) - age_s
    return {
        "Bria-Webhook-Id": "1",
        "Bria-Webhook-Timestamp": str(timestamp),
        "Bria-Webhook-Signature": sign(signing_key(TOKEN), "1", timestamp, BODY),
    } | {f"Bria-Webhook-{name}": value for name, value in changed.items()}


def test_a_genuine_webhook_is_accepted(is_genuine: IsGenuine) -> None:
    assert is_genuine(TOKEN.encode().decode(), headers(), BODY)
    several = "v1=AAAA, " + headers()["Bria-Webhook-Signature"]
    assert is_genuine(TOKEN, headers(Signature=several), BODY)


def test_others_are_not(is_genuine: IsGenuine) -> None:
    assert not is_genuine("other", headers(), BODY)
    assert not is_genuine(TOKEN, headers(), BODY + b" ")
    assert not is_genuine(TOKEN, headers(Id="2"), BODY)
    assert not is_genuine(TOKEN, headers(Signature="v1=ä"), BODY)
    assert not is_genuine(TOKEN, headers(Timestamp=str(int(time.time()) - 1)), BODY)
    assert not is_genuine(TOKEN, headers(age_s=600), BODY)
    assert not is_genuine(TOKEN, {}, BODY)
    assert not is_genuine(TOKEN, headers(Timestamp="soon"), BODY)
    assert not is_genuine(TOKEN, headers(Timestamp="9" * 5000), BODY)
    assert is_genuine(TOKEN, headers(age_s=600), BODY, max_age_s=3600)


def test_the_published_vector_is_accepted(is_genuine: IsGenuine) -> None:
    body = (
        b'{"status":"COMPLETED","result":{"url":"https://cdn.bria.ai/final.png"},'
        b'"request_id":"req_contract_test_001"}'
    )
    published = {
        "Bria-Webhook-Id": "req_contract_test_001",
        "Bria-Webhook-Timestamp": "1700000000",
        "Bria-Webhook-Signature": "v1=muClfnkuIXEqW69htILKVEwJdzC0LWB1tP53ptLm7SM=",
    }
    assert is_genuine("contract-test-shared-token", published, body, max_age_s=1e12)

"""The signature of webhooks: the published test vector, and tokens in either encoding."""

import hashlib
import hmac

import pytest

from server.webhooks.signing import sign, signing_key

TOKEN = "contract-test-shared-token"
BODY = (
    b'{"status":"COMPLETED","result":{"url":"https://cdn.bria.ai/final.png"},'
    b'"request_id":"req_contract_test_001"}'
)


def test_the_published_vector() -> None:
    signature = sign(signing_key(TOKEN), "req_contract_test_001", 1700000000, BODY)
    assert signature == "v1=muClfnkuIXEqW69htILKVEwJdzC0LWB1tP53ptLm7SM="


def test_every_part_of_the_message_is_signed() -> None:
    key = signing_key(TOKEN)
    signatures = {
        sign(key, "a", 1, b"{}"),
        sign(key, "b", 1, b"{}"),
        sign(key, "a", 2, b"{}"),
        sign(key, "a", 1, b"[]"),
        sign(signing_key("other"), "a", 1, b"{}"),
    }
    assert len(signatures) == 5


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_token_in_either_encoding_has_the_key_of_its_text(encoding: str) -> None:
    token = "clé-ü"
    as_read = token.encode(encoding).decode("latin-1")
    expected = hmac.digest(token.encode(), b"bria-webhook-signing-v1", hashlib.sha256)
    assert signing_key(as_read) == expected

"""Pages of browsers call the API from any origin, also from a public page into a private network."""

import pytest
from starlette.testclient import TestClient

ORIGIN = {"origin": "https://page.example"}


@pytest.mark.parametrize("network", ["Private", "Local"])
@pytest.mark.parametrize("path", ["/v1/crop", "/v1/0123456789abcdef/blur_bg", "/results/a/b.png"])
def test_a_preflight_into_a_private_network_is_allowed(
    client: TestClient, path: str, network: str
) -> None:
    preflight = {
        **ORIGIN,
        "access-control-request-method": "POST",
        "access-control-request-headers": "api_token,content-type",
    }
    answer = client.options(path, headers=preflight)
    assert answer.status_code == 200
    assert f"access-control-allow-{network.lower()}-network" not in answer.headers
    asked = {f"access-control-request-{network.lower()}-network": "true"}
    answer = client.options(path, headers={**preflight, **asked})
    assert answer.status_code == 200, answer.text
    assert answer.headers[f"access-control-allow-{network.lower()}-network"] == "true"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "api_token,content-type"


def test_a_method_that_is_not_allowed_stays_refused(client: TestClient) -> None:
    asked = {"access-control-request-private-network": "true"}
    preflight = {**ORIGIN, **asked, "access-control-request-method": "DELETE"}
    assert client.options("/v1/crop", headers=preflight).status_code == 400

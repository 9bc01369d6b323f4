"""The second port of a server, at which the pages for operators need no token."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.helpers.server_process import TOKEN, Server

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}
"""The header of a proxy on this machine whose caller is on another one."""
PAGES = ("/docs", "/capabilities", "/metrics")


@pytest.fixture(scope="module")
def server(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with tokens and a second port."""
    server = Server(tmp_path_factory.mktemp("operators"), weights_dir)
    try:
        yield server.start(OPERATOR_PORT="0")
    finally:
        server.close()


@pytest.fixture(scope="module")
def operators(server: Server) -> Iterator[httpx.Client]:
    """A caller on another machine, without a token, of the second port."""
    found = re.search(
        r"pages for operators, without a token, on 127\.0\.0\.1 port (\d+)", server.text()
    )
    assert found, server.text()
    with httpx.Client(base_url=f"http://127.0.0.1:{found[1]}", headers=ELSEWHERE) as client:
        yield client


@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_no_token_at_the_second_port_alone(
    page: str, server: Server, operators: httpx.Client
) -> None:
    anyone = {**ELSEWHERE, "api_token": ""}
    assert operators.get(page).status_code == 200
    assert server.http.get(page, headers=anyone).status_code == 401
    assert server.http.get(page, headers={"api_token": ""}).status_code == 200  # from this machine


def test_the_figures_of_an_organisation_need_its_token(operators: httpx.Client) -> None:
    of_anyone, own = operators.get("/capabilities"), operators.get("/capabilities", headers=TOKEN)
    assert of_anyone.json()["storage"]["stored_mb"] is None
    assert own.json()["storage"]["stored_mb"] == 0
    assert "ratelimit" not in of_anyone.headers
    wrong = operators.get("/capabilities", headers={"api_token": "of nobody"})
    assert wrong.status_code == 401


def test_everything_else_needs_a_token_at_the_second_port_too(operators: httpx.Client) -> None:
    assert operators.get("/readyz").status_code == 200
    for method, path in (
        ("POST", "/v1/background/remove"),
        ("GET", "/v2/status/some-id"),
        ("GET", "/admin/state"),  # of all organisations
    ):
        assert operators.request(method, path).status_code == 401
    assert operators.get("/v2/status/some-id", headers=TOKEN).status_code == 404


def test_both_ports_close_with_the_server(server: Server, operators: httpx.Client) -> None:
    assert server.end() == 0
    for port in (server.port(), operators.base_url.port):
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)

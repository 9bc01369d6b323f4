"""The body of an unknown caller is never asked for, whatever the route."""

from typing import Any

from starlette.testclient import TestClient
from starlette.types import Message


def test_no_route_reads_the_body_of_an_unknown_caller(client: TestClient) -> None:
    codes: dict[str, int] = {}
    reads: list[str] = []

    async def ask(path: str, key: str) -> None:
        async def receive() -> Message:
            reads.append(path)
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                codes[path] = message["status"]

        headers = {
            "host": "x",
            "api_token": "unknown",
            "content-length": "2",
            "expect": "100-continue",
        }
        if key:
            headers["idempotency-key"] = key
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        await client.app(scope, receive, send)

    paths = [path for path, item in client.app.openapi()["paths"].items() if "post" in item]  # type: ignore[attr-defined]
    assert len(paths) > 20
    assert client.portal is not None
    for path in paths:
        for key in ("", "key-1"):
            client.portal.call(ask, path.replace("{", "").replace("}", ""), key)
    assert not reads
    assert set(codes.values()) == {401}

"""Every field of every route in the OpenAPI document, with invalid values of every kind."""

import json
from collections.abc import Iterator
from typing import Any

from PIL import Image

from tests.helpers.server_process import Server, b64, encoded

Fields = dict[str, Any]

WRONG: list[Any] = [
    True,
    -1,
    0,
    1.5,
    1e308,
    2**31,
    2**63,
    -(2**63) - 1,
    10**40,
    " ",
    "\0",
    "null",
    "NaN",
    "Infinity",
    "\u0663",  # a digit that is not ASCII
    "\u202e\U0001f600" * 50,
    "x" * 20_000,
    "rgb( 1 , " * 1000,
    "#" * 9999,
    "../../etc/passwd",
    [],
    {},
    [[]],
    [None],
    [{}],
    [1],
    [2**70, 1],
    ["a", "b"],
    [[1, 2], [3, 4]],
    {"a": {"b": [1]}},
    [{"mask_id": 2**70, "actions": {"remove": True}}],
    [{"mask_id": 1, "mask_url": "data:,", "actions": {"remove": "perhaps"}}],
    [{"mask_url": ["http://10.0.0.1/"], "actions": {"remove": True}}],
    [{"id": ["x"], "actions": [1]}],
    [{"id": "x", "actions": {"age": {"a": [[1]]}}}],
]


def routes(document: Any) -> Iterator[tuple[str, str, list[str]]]:
    """Return each route of the API: its method, its path and the names of its fields."""
    for path, methods in document["paths"].items():
        for method, description in methods.items():
            names = [p["name"] for p in description.get("parameters", ()) if p["in"] == "query"]
            for body in description.get("requestBody", {}).get("content", {}).values():
                schema = body["schema"]
                if "$ref" in schema:
                    schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
                names += schema.get("properties", {})
            if path.startswith("/v1/"):
                yield method.upper(), path, sorted(set(names))


def send(server: Server, method: str, path: str, kind: str, fields: Fields) -> Any:
    """Send fields as JSON, as a form, as multipart or in the query."""
    if kind == "json":
        return server.http.request(method, path, json=fields)
    texts = {n: v if isinstance(v, str) else json.dumps(v) for n, v in fields.items()}
    if kind == "form":
        return server.http.request(method, path, data=texts)
    if kind == "multipart":
        files = {name: (None, value.encode()) for name, value in texts.items()}
        return server.http.request(method, path, files=files)
    return server.http.request(method, path, params={n: v[:2000] for n, v in texts.items()})


def test_no_value_of_any_field_is_a_server_error(running: Server) -> None:
    before = running.left()
    document = running.http.get("/openapi.json").json()
    dot = encoded(Image.new("RGB", (4, 4), (9, 9, 9)))
    visual = running.http.post("/v1/register", files={"file": dot}).json()["visual_id"]
    requests = 0
    for method, path, names in routes(document):
        kinds = ("json", "form", "multipart", "query") if method == "POST" else ("query",)
        for number, value in enumerate(WRONG):
            for position, name in enumerate(names):
                # The request is always refused, because it has no picture or no valid visual.
                fields = {"file": b64(b"text"), "mask_file": b64(b"text"), name: value}
                kind = kinds[(number + position) % len(kinds)]
                place = path.replace("{visual_id}", "0" * 16 if number % 2 else visual[::-1])
                answer = send(running, method, place, kind, fields)
                requests += 1
                what = (method, path, kind, name, str(value)[:50], answer.text[:200])
                assert 400 <= answer.status_code < 500 or answer.status_code == 506, what
                assert answer.json()["code"] == answer.status_code, what
    assert requests > 1000
    assert "Traceback" not in running.text()
    assert running.http.post(f"/v1/{visual}/remove_image").status_code == 200
    assert running.left() == before

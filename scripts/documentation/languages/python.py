"""The example of an operation for the Python client of this project."""

from collections.abc import Mapping
from typing import Any

from scripts.documentation.languages.values import ADDRESS, key_of, literal
from scripts.documentation.operations import Example


def python(example: Example) -> str:
    """Return a program that uses the client of this project, where it knows the route."""
    if not example.path.startswith(("/v1/", "/v2/")):
        return (
            "import json\nimport urllib.request\n\n"
            f'request = urllib.request.Request("{ADDRESS}{example.path}", headers={{"api_token": "me"}})\n'
            "with urllib.request.urlopen(request) as answer:\n    print(json.load(answer))"
        )
    lines = []
    path = example.path.removeprefix("/v1/").removeprefix("/")
    quote = '"'
    if example.first is not None:
        key = key_of(example)
        first = example.first
        if key == "visual_id":
            lines.append(f"visual_id = client.register({_python(first.fields['file'])})")
        else:
            name = first.path.removeprefix("/v1/").removeprefix("/")
            lines += _call_lines("accepted", "call", f'"{name}"', first.fields)
            lines.append(f"{key} = accepted.{key}")
        quote = 'f"'
    method = "get" if example.method == "GET" else "call"
    lines += _call_lines("answer", method, f'{quote}{path}"', example.fields)
    if example.file:
        lines.append("answer = client.wait(answer)")
        saved = f'Path("{example.file}").write_bytes(client.download(answer.links[0]))'
        lines.append(saved)
    else:
        lines.append("print(answer.body)")
    imports = "from pathlib import Path\n\n" if any("Path(" in line for line in lines) else ""
    body = "\n".join(f"    {line}" for line in lines)
    return f'{imports}from retouch.client import Client\n\nwith Client("{ADDRESS}", "me") as client:\n{body}'


def _call_lines(name: str, method: str, path: str, fields: Mapping[str, Any]) -> list[str]:
    if not fields:
        return [f"{name} = client.{method}({path})"]
    given = [f"    {field}={_python(value)}," for field, value in fields.items()]
    return [f"{name} = client.{method}(", f"    {path},", *given, ")"]


def _python(value: Any) -> str:
    return literal(
        value,
        lambda photo: f'Path("{photo.path}")',
        lambda pairs: "{" + ", ".join(f"{name}: {inner}" for name, inner in pairs) + "}",
        {True: "True", False: "False"},
    )

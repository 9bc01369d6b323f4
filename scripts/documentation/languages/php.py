"""The example of an operation for PHP 8 without extensions."""

import re
from typing import Any

from scripts.documentation.languages.values import ADDRESS, has_photo, key_of, literal
from scripts.documentation.operations import Example

_SEND = """\
function send(string $method, string $path, string $accept, array $fields = []): string
{
    $http = [
        'method' => $method,
        'header' => ['api_token: me', "Accept: $accept", 'Content-Type: application/json'],
        'content' => $fields ? json_encode($fields) : '',
        'ignore_errors' => true,
    ];
    $answer = file_get_contents('ADDRESS' . $path, false, stream_context_create(['http' => $http]));
    if (!preg_match('~^HTTP/\\S+ 20~', $http_response_header[0])) {
        exit("It failed: $answer\\n");
    }
    return $answer;
}
"""
_PICTURE = """\
function picture(string $path): string
{
    return base64_encode(file_get_contents($path));
}

"""


def php(example: Example) -> str:
    """Return the program."""
    path = _text(example.path)
    lines = []
    if example.first is not None:
        key = key_of(example)
        first = _call(example.first, _text(example.first.path))
        lines.append(f"${key} = json_decode({first}, true)['{key}'];")
        path = '"' + re.sub(r"\{(\w+)\}", r"$\1", example.path) + '"'
    call = _call(example, path)
    if example.file:
        lines.append(f"file_put_contents('{example.file}', {call});")
    else:
        lines.append(f'echo {call}, "\\n";')
    picture = _PICTURE if has_photo(example) else ""
    send = _SEND.replace("ADDRESS", ADDRESS)
    return f"<?php\n{picture}{send}\n" + "\n".join(lines)


def _call(example: Example, path: str) -> str:
    start = f"send('{example.method}', {path}, '{example.accept or 'application/json'}'"
    if not example.fields:
        return f"{start})"
    fields = "".join(
        f"    '{name}' => {_value(value)},\n" for name, value in example.fields.items()
    )
    return f"{start}, [\n{fields}])"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    return literal(
        value,
        lambda photo: f"picture('{photo.path}')",
        lambda pairs: "[" + ", ".join(f"{name} => {inner}" for name, inner in pairs) + "]",
        {True: "true", False: "false"},
    )


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

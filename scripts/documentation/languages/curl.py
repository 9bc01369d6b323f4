"""The example of an operation for curl, in POSIX shell."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from scripts.documentation.languages.values import ADDRESS, key_of, photos
from scripts.documentation.operations import Example, Photo


def curl(example: Example) -> str:
    """Return the command, in POSIX shell."""
    lines = []
    path = example.path
    if example.first is not None:
        key = key_of(example)
        extract = f"python3 -c 'import json, sys; print(json.load(sys.stdin)[\"{key}\"])'"
        lines.append(f"{key}=$({_command(example.first, example.first.path)} |\n  {extract})")
        path = path.replace(f"{{{key}}}", f"${key}")
    nested = [p for n, v in example.fields.items() if not isinstance(v, Photo) for p in photos(v)]
    if nested:
        lines += _nested(example, path)
    else:
        lines.append(_command(example, path))
    return "\n".join(lines)


def _command(example: Example, path: str) -> str:
    """Return one call of curl. path: with variables of the shell."""
    words = ["curl -sS -H 'api_token: me'"]
    if example.accept is not None:
        words[0] += f" -H 'Accept: {example.accept}'"
    if example.method == "POST" and not example.fields:
        words[0] += " -X POST"
    for name, value in example.fields.items():
        words.append(f"-F {_form_field(name, value)}")
    words.append(f'"{ADDRESS}{path}"' if "$" in path else f"{ADDRESS}{path}")
    if example.file:
        words[-1] += f" -o {example.file}"
    return " \\\n  ".join(words)


def _form_field(name: str, value: Any) -> str:
    if isinstance(value, Photo):
        return f"{name}=@{value.path}"
    return shlex.quote(f"{name}={value if isinstance(value, str) else json.dumps(value)}")


def _nested(example: Example, path: str) -> list[str]:
    """Return the lines of a request whose pictures are in lists, so that the body is JSON."""
    names: dict[str, str] = {}
    for photo in photos(dict(example.fields)):
        names.setdefault(photo.path, photo.name.partition(".")[0].replace("-", "_"))

    def marked(value: Any) -> Any:
        if isinstance(value, Photo):
            return "%s"
        if isinstance(value, Mapping):
            return {name: marked(inner) for name, inner in value.items()}
        return [marked(inner) for inner in value] if isinstance(value, list) else value

    body = json.dumps(marked(dict(example.fields)))
    values = " ".join(f'"${names[photo.path]}"' for photo in photos(dict(example.fields)))
    return [
        *(f"{name}=$(base64 < {file} | tr -d '\\n')" for file, name in names.items()),
        f"printf '{body}' {values} |",
        f"  curl -sS -H 'api_token: me' -H 'Content-Type: application/json' -H 'Accept: {example.accept}' \\",
        f"  -d @- {ADDRESS}{path} -o {example.file}",
    ]

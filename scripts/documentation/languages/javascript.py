"""The example of an operation for Node 18 or newer."""

import json
from typing import Any

from scripts.documentation.languages.values import ADDRESS, has_photo, key_of, literal
from scripts.documentation.operations import Example


def javascript(example: Example) -> str:
    """Return a program for Node 18 or newer."""
    imports = [name for name, used in _node_imports(example) if used]
    head = f'import {{ {", ".join(imports)} }} from "node:fs";\n\n' if imports else ""
    helper = (
        'const picture = (path) => readFileSync(path, "base64");\n\n' if has_photo(example) else ""
    )
    has_body = bool(example.fields) or example.first is not None
    body = "  const body = fields && JSON.stringify(fields);\n" if has_body else ""
    signature, options = ("fields", "body, ") if has_body else ("", "")
    signature = ", ".join(filter(None, ["method", "path", "accept", signature]))
    send = f"""async function send({signature}) {{
  const headers = {{ api_token: "me", Accept: accept, "Content-Type": "application/json" }};
{body}  const answer = await fetch("{ADDRESS}" + path, {{ {options}method, headers }});
  if (!answer.ok) throw new Error(`${{answer.status}}: ${{await answer.text()}}`);
  return answer;
}}
"""
    lines = []
    path = json.dumps(example.path)
    if example.first is not None:
        key = key_of(example)
        lines.append(
            f"const first = await {_js_call(example.first, json.dumps(example.first.path))};"
        )
        lines.append(f"const {{ {key} }} = await first.json();")
        path = "`" + example.path.replace("{", "${") + "`"
    lines.append(f"const answer = await {_js_call(example, path)};")
    if example.file:
        lines.append(f'writeFileSync("{example.file}", Buffer.from(await answer.arrayBuffer()));')
    else:
        lines.append("console.log(await answer.json());")
    return f"{head}{helper}{send}\n" + "\n".join(lines)


def _node_imports(example: Example) -> list[tuple[str, bool]]:
    return [
        ("readFileSync", has_photo(example)),
        ("writeFileSync", example.file is not None),
    ]


def _js_call(example: Example, path: str) -> str:
    start = f'send("{example.method}", {path}, "{example.accept or "application/json"}"'
    if not example.fields:
        return f"{start})"
    fields = "".join(f"  {name}: {_js(value)},\n" for name, value in example.fields.items())
    return f"{start}, {{\n{fields}}})"


def _js(value: Any) -> str:
    return literal(
        value,
        lambda photo: f'picture("{photo.path}")',
        lambda pairs: "{ " + ", ".join(f"{name[1:-1]}: {inner}" for name, inner in pairs) + " }",
        {True: "true", False: "false"},
    )

"""The example of an operation for Go 1.19 or newer, from its standard library alone."""

import json
import re
from typing import Any

from scripts.documentation.languages.values import ADDRESS, has_photo, key_of, literal
from scripts.documentation.operations import Example

_SEND = """\
// send returns the body of the answer; anything but a success ends the program.
func send(method, path, accept string, fields map[string]any) []byte {
	var body []byte
	if fields != nil {
		var err error
		body, err = json.Marshal(fields)
		check(err)
	}
	request, err := http.NewRequest(method, "ADDRESS"+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("api_token", "me")
	request.Header.Set("Accept", accept)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	check(err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	check(err)
	if answer.StatusCode/100 != 2 {
		log.Fatalf("it failed (%d): %s", answer.StatusCode, content)
	}
	return content
}
"""
_CHECK = """\
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

"""
_PICTURE = """\
func picture(path string) string {
	content, err := os.ReadFile(path)
	check(err)
	return base64.StdEncoding.EncodeToString(content)
}

"""


def go(example: Example) -> str:
    """Return the program."""
    lines = []
    path = json.dumps(example.path)
    if example.first is not None:
        key = key_of(example)
        lines.append("var first map[string]any")
        call = _call(example.first, json.dumps(example.first.path))
        lines.append(f"check(json.Unmarshal({call}, &first))")
        parts = re.sub(r"\{\w+\}", f'"+first["{key}"].(string)+"', example.path)
        path = f'"{parts}"'.removesuffix('+""')
    call = _call(example, path)
    if example.file:
        lines.append(f'check(os.WriteFile("{example.file}", {call}, 0o644))')
    else:
        lines.append(f"fmt.Println(string({call}))")
    main = "\n".join(f"\t{line}" for line in "\n".join(lines).splitlines())
    return (
        f"package main\n\nimport (\n{_imports(example)}\n)\n\n{_CHECK}"
        f"{_PICTURE if has_photo(example) else ''}{_SEND.replace('ADDRESS', ADDRESS)}\n"
        f"func main() {{\n{main}\n}}"
    )


def _imports(example: Example) -> str:
    used = ["bytes", "encoding/json", "io", "log", "net/http"]
    if has_photo(example):
        used.append("encoding/base64")
    if has_photo(example) or example.file:
        used.append("os")
    if not example.file:
        used.append("fmt")
    return "\n".join(f'\t"{name}"' for name in sorted(used))


def _call(example: Example, path: str) -> str:
    start = f'send("{example.method}", {path}, "{example.accept or "application/json"}"'
    if not example.fields:
        return f"{start}, nil)"
    width = max(map(len, example.fields)) + 3
    fields = "".join(
        f"\t{f'{json.dumps(name)}:':<{width}} {_value(value)},\n"
        for name, value in example.fields.items()
    )
    return f"{start}, map[string]any{{\n{fields}}})"


def _value(value: Any) -> str:
    return literal(
        value,
        lambda photo: f'picture("{photo.path}")',
        lambda pairs: (
            "map[string]any{" + ", ".join(f"{name}: {inner}" for name, inner in pairs) + "}"
        ),
        {True: "true", False: "false"},
        "[]any{{{}}}",
    )

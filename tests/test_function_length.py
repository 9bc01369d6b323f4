"""No function is longer than a screen: 59 lines, its docstring and decorators included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_LINES = 59
PACKAGES = sorted(
    folder.name
    for folder in ROOT.iterdir()
    if folder.is_dir() and not folder.name.startswith(".") and any(folder.glob("*.py"))
)


def lengths(file: Path) -> dict[str, int]:
    """Return the number of lines of each function in a file, by "line name"."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            found[f"{first} {node.name}"] = (node.end_lineno or first) - first + 1
    return found


def test_every_package_is_measured() -> None:
    sources = {"imaging", "models", "pipelines", "retouch", "server", "storage"}
    assert sources | {"tests", "scripts"} <= set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_functions_fit_on_a_screen(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    long = [
        f"{file.relative_to(ROOT)}:{name}: {lines} lines"
        for file in files
        for name, lines in lengths(file).items()
        if lines > MOST_LINES
    ]
    assert not long

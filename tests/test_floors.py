"""Imports go downwards only: server, pipelines, models, imaging; server to storage; nothing points back."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "server": {"server", "pipelines", "models", "imaging", "storage"},
    "pipelines": {"pipelines", "models", "imaging"},
    "models": {"models", "imaging"},
    "imaging": {"imaging"},
    "storage": {"storage"},
}
FLOORS = set(BELOW) | {"tests", "scripts"}


def imports(file: Path) -> set[str]:
    """Name the top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found.add((node.module or "").partition(".")[0])
    return found


def modules(file: Path) -> set[str]:
    """Name the packages of two parts that a file imports from, as `models.tiny`."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[:2]) for name in found}


@pytest.mark.parametrize("floor", BELOW)
def test_a_floor_imports_only_what_lies_below(floor: str) -> None:
    files = list((ROOT / floor).rglob("*.py"))
    assert files
    for file in files:
        upwards = (imports(file) & FLOORS) - BELOW[floor]
        assert not upwards, f"{file.relative_to(ROOT)} imports {upwards}"


@pytest.mark.parametrize("floor", BELOW)
def test_every_module_opens_with_a_sentence(floor: str) -> None:
    for file in (ROOT / floor).rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(file.read_text()))
        assert docstring, file
        assert docstring.splitlines()[0].endswith((".", ":")), file


def test_torch_is_imported_by_its_own_backends_alone() -> None:
    backends = ROOT / "models" / "backends"
    alone = {backends / "torch", backends / "diffusion", ROOT / "models" / "tiny"}
    for floor in BELOW:
        for file in (ROOT / floor).rglob("*.py"):
            if not alone & set(file.parents):
                assert not imports(file) & {"torch", "diffusers", "transformers"}, file


def test_tiny_models_are_imported_by_nothing_that_serves() -> None:
    for floor in BELOW:
        for file in (ROOT / floor).rglob("*.py"):
            if ROOT / "models" / "tiny" not in file.parents:
                assert "models.tiny" not in modules(file), file
                assert "def make_tiny" not in file.read_text(), file


def test_ray_is_imported_by_the_cluster_engine_alone() -> None:
    engine = ROOT / "models" / "runtime" / "ray"
    alone = {engine / name for name in ("cluster.py", "deployments.py", "deploy.py")}
    for floor in BELOW:
        for file in (ROOT / floor).rglob("*.py"):
            if file not in alone:
                assert "ray" not in imports(file), file


def test_nothing_imports_from_a_conftest_or_a_test_file() -> None:
    for file in (*(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                name = (node.module or "").rpartition(".")[2]
                assert name != "conftest", file
                assert not name.startswith("test_"), file

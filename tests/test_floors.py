"""Imports go down only: retouch, server, pipelines, models, imaging; and server, storage."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BELOW = {
    "retouch": {"retouch", "server", "pipelines", "models", "imaging", "storage"},
    "server": {"server", "pipelines", "models", "imaging", "storage"},
    "pipelines": {"pipelines", "models", "imaging"},
    "models": {"models", "imaging"},
    "imaging": {"imaging"},
    "storage": {"storage"},
}
LAYERS = set(BELOW) | {"tests", "scripts"}


def imports(file: Path) -> set[str]:
    """Return the top-level packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            found.add((node.module or "").partition(".")[0])
    return found


def modules(file: Path) -> set[str]:
    """Return what a file imports, cut to two parts, such as `models.tiny`."""
    found = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(name.split(".")[:2]) for name in found}


@pytest.mark.parametrize("layer", BELOW)
def test_a_layer_imports_only_lower_layers(layer: str) -> None:
    files = list((ROOT / layer).rglob("*.py"))
    assert files
    for file in files:
        upwards = (imports(file) & LAYERS) - BELOW[layer]
        assert not upwards, f"{file.relative_to(ROOT)} imports {upwards}"


@pytest.mark.parametrize("layer", BELOW)
def test_every_module_opens_with_a_sentence(layer: str) -> None:
    for file in (ROOT / layer).rglob("*.py"):
        docstring = ast.get_docstring(ast.parse(file.read_text()))
        assert docstring, file
        assert docstring.splitlines()[0].endswith((".", ":")), file


def test_only_torch_backends_import_torch() -> None:
    backends = ROOT / "models" / "backends"
    allowed = {backends / "torch", backends / "diffusion", ROOT / "models" / "tiny"}
    for layer in BELOW:
        for file in (ROOT / layer).rglob("*.py"):
            if not allowed & set(file.parents):
                assert not imports(file) & {"torch", "diffusers", "transformers"}, file


def test_no_serving_code_imports_tiny_models() -> None:
    for layer in BELOW:
        for file in (ROOT / layer).rglob("*.py"):
            if ROOT / "models" / "tiny" not in file.parents:
                assert "models.tiny" not in modules(file), file
                assert "def make_tiny" not in file.read_text(), file


def test_only_the_cluster_engine_imports_ray() -> None:
    engine = ROOT / "models" / "runtime" / "ray"
    allowed = {
        engine / name for name in ("cluster.py", "deployments.py", "deploy.py", "machine.py")
    }
    for layer in BELOW:
        for file in (ROOT / layer).rglob("*.py"):
            if file not in allowed:
                assert "ray" not in imports(file), file


def test_the_client_imports_nothing_of_the_server() -> None:
    files = list((ROOT / "retouch" / "client").rglob("*.py"))
    assert files
    for file in files:
        assert not imports(file) & (LAYERS - {"retouch"}), file
        assert {name for name in modules(file) if name.startswith("retouch")} <= {"retouch.client"}


def test_nothing_imports_from_a_conftest_or_a_test_file() -> None:
    for file in (*(ROOT / "tests").rglob("*.py"), *(ROOT / "scripts").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                name = (node.module or "").rpartition(".")[2]
                assert name != "conftest", file
                assert not name.startswith("test_"), file

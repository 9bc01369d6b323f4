"""The Python programs that the files of containers and clusters start."""

import importlib.util
import re

import pytest

from tests.helpers.places import ROOT

FILES = [
    ROOT / "Dockerfile",
    *sorted(ROOT.glob("docker-compose*.yml")),
    *sorted(path for path in (ROOT / "deploy").glob("*") if path.is_file()),
]
STARTED = [
    (path, module)
    for path in FILES
    for module in re.findall(r'python"?,? "?-m"?,? "?([\w.]+)', path.read_text())
    if module != "venv"
]


@pytest.mark.parametrize(
    ("path", "module"), STARTED, ids=[f"{path.name}-{module}" for path, module in STARTED]
)
def test_a_module_that_a_file_starts_can_be_run(path: object, module: str) -> None:
    found = importlib.util.find_spec(module)
    assert found is not None
    if found.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_the_programs_are_found() -> None:
    assert {(path.name, module) for path, module in STARTED} >= {
        ("docker-compose.gpu.yml", "retouch"),
        ("weights.yaml", "retouch"),
        ("Dockerfile", "server"),
    }

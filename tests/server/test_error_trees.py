"""Every error of the lower layers becomes an ApiError or is listed here as internal."""

import ast
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

import imaging.errors
import models.errors
import pipelines.errors
import server.errors
import storage.errors
from server.errors import GENERAL_REFUSALS, ApiError, Refusals, map_errors
from server.http.error_answers import install
from server.operation import Operation
from server.operations import OPERATIONS
from tests.helpers.places import ROOT

TREES: tuple[ModuleType, ...] = (
    imaging.errors,
    models.errors,
    pipelines.errors,
    storage.errors,
    server.errors,
)
BASES = {"ImagingError", "PictureError", "PipelineError", "StorageError"}
"""Classes of which only subclasses are raised."""
MAPPED_WHERE_CAUGHT = {
    "EmptyPictureError": "server/http/uploads.py",
    "NotAPictureError": "server/http/uploads.py",
    "DamagedPictureError": "server/http/uploads.py",
    "NothingMarkedError": "server/jobs/picture_files.py",
    "UnclearMaskError": "server/jobs/picture_files.py",
    "EngineBusyError": "server/errors.py",
    "StoreUnavailableError": "server/http/error_answers.py",
    "StoreSilentError": "server/jobs/executor.py",
    "DiskFullError": "server/http/error_answers.py",
    "DatabaseUnavailableError": "server/http/error_answers.py",
    "ObjectMissingError": "server/visuals.py",
    "SchedulerClosedError": "server/scheduled_work.py",
    "CallerDisconnectedError": "server/scheduled_work.py",
}
"""Errors that become an ApiError with another message, and the file that catches them."""
INTERNAL = {
    "WeightsUnavailableError": "models are loaded as ModelUnavailableError",
    "BadWeightsError": "the same",
    "RemoteCodeError": "the same",
    "UnpinnedCodeError": "the same",
    "UnknownDeviceError": "at the start of the process",
    "UnknownProfileError": "the same",
    "InvalidSettingsError": "the same",
    "RayNotInstalledError": "the same",
    "FolderInUseError": "the same",
    "NewerSchemaError": "the same",
    "DeploymentError": "only the command retouch deploy-models",
    "BundleError": "only the command retouch weights",
    "NameTakenError": "only the command retouch tokens",
    "ReferenceUnsupportedError": "in pipelines, which describe the picture in words instead",
    "WorkCancelledError": "only its subclasses are raised",
    "InvalidKeyError": "in the file system store, which reports that the object does not exist",
}
"""Errors that no caller of the API gets, and why."""


def errors_of(tree: ModuleType) -> list[type[Exception]]:
    """Return the error classes of a module."""
    return [
        member
        for member in vars(tree).values()
        if inspect.isclass(member)
        and issubclass(member, BaseException)
        and member.__module__ == tree.__name__
    ]


@pytest.mark.parametrize("tree", TREES, ids=lambda tree: tree.__name__)
def test_the_docstring_shows_the_tree_of_all_error_classes(tree: ModuleType) -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (tree.__doc__ or "").splitlines():
        name = line.lstrip(" |`-").partition(" ")[0]
        if not name.endswith(("Error", "Exception")) or not line.lstrip(" |").startswith(
            ("-", "`", name)
        ):
            continue
        indent = line.index(name)
        above = [(at, parent) for at, parent in above if at < indent]
        drawn[name] = above[-1][1] if above else ""
        above.append((indent, name))
    for error in errors_of(tree):
        assert error.__name__.endswith("Error")
        assert error.__name__ in drawn, error
        parent = drawn[error.__name__]
        bases = [base.__name__ for base in error.__mro__[1:]]
        assert parent in bases if parent else error.__mro__[1] is Exception, error


@pytest.mark.parametrize("tree", TREES[:-1], ids=lambda tree: tree.__name__)
def test_every_error_is_mapped_to_a_refusal_or_internal(tree: ModuleType) -> None:
    mapped = set(GENERAL_REFUSALS) | {e for o in OPERATIONS for e in o.refusals}
    for error in errors_of(tree):
        known = [error.__name__ in names for names in (MAPPED_WHERE_CAUGHT, INTERNAL, BASES)]
        is_mapped = any(issubclass(error, known) for known in mapped)
        assert [is_mapped, *known].count(True) == 1, error


@pytest.mark.parametrize(("name", "file"), MAPPED_WHERE_CAUGHT.items())
def test_the_file_catches_it(name: str, file: str) -> None:
    assert name in (ROOT / file).read_text()


def imported_pipelines(module: Path) -> list[Path]:
    """Return the files of pipelines/ that a module imports from."""
    return [
        ROOT / f"{node.module.replace('.', '/')}.py"
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("pipelines.")
    ]


def raised_in(module: Path) -> set[str]:
    """Return the names of the errors that a module raises."""
    raised = [n.exc for n in ast.walk(ast.parse(module.read_text())) if isinstance(n, ast.Raise)]
    calls = [error.func if isinstance(error, ast.Call) else error for error in raised if error]
    return {ast.unparse(call) for call in calls}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: str(operation.key))
def test_an_operation_maps_every_error_that_its_pipelines_raise(operation: Operation[Any]) -> None:
    own = inspect.getsourcefile(operation.perform)
    assert own is not None
    raised = {name for module in imported_pipelines(Path(own)) for name in raised_in(module)}
    of_pipelines = {error.__name__ for error in errors_of(pipelines.errors)}
    mapped = {error.__name__ for error in (*operation.refusals, *GENERAL_REFUSALS)}
    assert raised & of_pipelines <= mapped


REFUSALS: list[tuple[type[Exception], tuple[type[ApiError], str], Refusals]] = [
    (error, refusal, {}) for error, refusal in GENERAL_REFUSALS.items()
] + [
    (error, refusal, operation.refusals)
    for operation in OPERATIONS
    for error, refusal in operation.refusals.items()
]


@pytest.mark.parametrize(("error", "refusal", "refusals"), REFUSALS)
@pytest.mark.parametrize("detail", ["", "why"])
def test_a_mapped_error_becomes_its_refusal(
    error: type[Exception], refusal: tuple[type[ApiError], str], refusals: Refusals, detail: str
) -> None:
    kind, text = refusal
    with pytest.raises(kind) as caught, map_errors(refusals):
        raise error(detail)
    assert caught.value.text == (f"{text}: why." if detail else f"{text}.")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (storage.errors.StoreUnavailableError, "The store is unavailable; try again."),
        (storage.errors.DatabaseUnavailableError, "The database is unavailable; try again."),
    ],
)
def test_an_unavailable_store_or_database_is_503_without_its_reason(
    error: type[Exception], text: str
) -> None:
    app = FastAPI()
    install(app)

    @app.get("/")
    def fail() -> None:
        raise error("secret-host refuses")

    with TestClient(app) as client:
        answer = client.get("/")
    assert answer.status_code == 503
    assert answer.json()["description"] == text
    assert "retry-after" in answer.headers


def test_server_errors_imports_only_error_modules_of_lower_layers() -> None:
    imported = {
        node.module
        for node in ast.walk(ast.parse(Path(server.errors.__file__).read_text()))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").partition(".")[0]
        in {"server", "pipelines", "models", "imaging", "storage"}
    }
    assert imported <= {
        f"{layer}.errors" for layer in ("pipelines", "models", "imaging", "storage")
    }

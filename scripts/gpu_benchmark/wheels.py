"""Wheels for a machine without a network: which are carried, how they are fetched, and how they are used there.

It needs nothing but the standard library: it runs before anything else can be imported.
"""

import importlib
import importlib.metadata
import importlib.util
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOCK = Path(__file__).parents[2] / "deploy" / "requirements" / "gpu.txt"
MACHINE = {
    "torch": "torch",
    "torchvision": "torchvision",
    "transformers": "transformers",
    "accelerate": "accelerate",
    "peft": "peft",
    "timm": "timm",
    "safetensors": "safetensors",
    "tokenizers": "tokenizers",
    "numpy": "numpy",
    "pillow": "PIL",
    "opencv-python-headless": "cv2",
    "onnxruntime": "onnxruntime",
    "onnx": "onnx",
    "einops": "einops",
    "filelock": "filelock",
    "huggingface-hub": "huggingface_hub",
    "markupsafe": "markupsafe",
    "pyparsing": "pyparsing",
    "pyyaml": "yaml",
    "regex": "regex",
    "requests": "requests",
    "typing-extensions": "typing_extensions",
}
"""Packages that a machine for torch has, among them those that are too large to carry, and the module of each."""
MODELS = {
    "diffusers": "diffusers",
    "compel": "compel",
    "spandrel": "spandrel",
    "segment-anything": "segment_anything",
}
"""Packages of the networks that are carried: without one of these nothing is measured."""
SERVER = {
    "alembic": "alembic",
    "annotated-doc": "annotated_doc",
    "annotated-types": "annotated_types",
    "anyio": "anyio",
    "attrs": "attrs",
    "cffi": "cffi",
    "click": "click",
    "croniter": "croniter",
    "dbos": "dbos",
    "fastapi": "fastapi",
    "greenlet": "greenlet",
    "h11": "h11",
    "httpcore2": "httpcore2",
    "httpx2": "httpx2",
    "idna": "idna",
    "isal": "isal",
    "mako": "mako",
    "obstore": "obstore",
    "opentelemetry-api": "opentelemetry",
    "prometheus-client": "prometheus_client",
    "psd-tools": "psd_tools",
    "psycopg": "psycopg",
    "psycopg-binary": "psycopg_binary",
    "pycparser": "pycparser",
    "pydantic": "pydantic",
    "pydantic-core": "pydantic_core",
    "pydantic-settings": "pydantic_settings",
    "python-dateutil": "dateutil",
    "python-dotenv": "dotenv",
    "python-multipart": "python_multipart",
    "pyvips": "pyvips",
    "pyvips-binary": "_libvips",
    "simplejpeg": "simplejpeg",
    "sqlalchemy": "sqlalchemy",
    "starlette": "starlette",
    "structlog": "structlog",
    "truststore": "truststore",
    "typing-inspection": "typing_inspection",
    "tzdata": "tzdata",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
}
"""Packages of the server, which are carried too: without one of these only its rows are left out."""
_BUILT = ("pyvips",)
"""Packages of Python alone without a wheel in the index: their wheel is built where it is fetched."""
_GLIBC = ("2_28", "2_27", "2_17", "2_12", "2_5")
_HASH = re.compile(r"--hash=\S+")
_NAME = re.compile(r"[-_.]+")


class WheelError(Exception):
    """Wheels could not be fetched or used. The text says why and what to do."""


@contextmanager
def unpacked(folder: Path | None) -> Iterator[None]:
    """Put the packages of a folder's wheels in front of all others, until the end of the context.

    All are unpacked, into a temporary folder: compiled files cannot be read out of a zip, and torch.compile
    reads the sources of what it compiles. Raises WheelError if the folder has no wheel, two of one
    package, or one for another Python.
    """
    if folder is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="retouch-wheels-") as target:
        for wheel in _usable(folder):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
            _move_data(Path(target))
        sys.path.insert(0, target)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path.remove(target)


def _usable(folder: Path) -> list[Path]:
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise WheelError(
            f"{folder} has no wheels: make it with scripts/benchmark_gpu --fetch-wheels {folder}"
        )
    found: dict[str, Path] = {}
    for wheel in wheels:
        name, _, *tags = wheel.stem.split("-")
        if not zipfile.is_zipfile(wheel):
            raise WheelError(f"{wheel} is damaged: fetch it again")
        if problem := _unfit(*tags[-3:]):
            raise WheelError(
                f"{wheel.name} is for {problem}: fetch the wheels with --python {_version()}"
            )
        if (other := found.setdefault(normal(name), wheel)) is not wheel:
            raise WheelError(f"{other.name} and {wheel.name} are one package: remove one")
    return list(found.values())


def _unfit(python: str, abi: str, system: str) -> str:
    """Return what a wheel's tags ask for that is not here, or ""."""
    own = "cp" + _version().replace(".", "")
    versions = python.split(".")
    if "py3" not in versions and own not in versions and "abi3" not in abi.split("."):
        return python
    if system != "any" and platform.machine() not in system and "universal" not in system:
        return system
    return ""


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _move_data(target: Path) -> None:
    """Move the modules that a wheel keeps in its folder of data to where they are imported from."""
    for data in target.glob("*.data"):
        for kind in ("purelib", "platlib"):
            for entry in (data / kind).glob("*"):
                entry.rename(target / entry.name)


def missing(packages: Iterable[str]) -> list[str]:
    """Return those of some packages whose module cannot be found here."""
    modules = {**MACHINE, **MODELS, **SERVER}
    return [name for name in packages if importlib.util.find_spec(modules[name]) is None]


def versions() -> str:
    """Return the versions of what the networks run with."""
    names = ("torch", "transformers", "diffusers", "timm", "peft")
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def fetch(folder: Path, python: str | None, with_server: bool = True) -> None:
    """Download the carried packages in the locked versions, checked by the lock's hashes.

    folder: is made. python: version such as `3.12` of the machine where they are used (Linux, of the same
    kind of processor as this one); None for the Python and system of this process. with_server: whether also what
    the server needs. Raises WheelError if pip fails.
    """
    pins = _pins(LOCK.read_text())
    wanted = [*MODELS, *SERVER] if with_server else [*MODELS]
    folder.mkdir(parents=True, exist_ok=True)
    target: list[str] = []
    if python is not None:
        target = ["--implementation", "cp", "--python-version", python]
        for glibc in _GLIBC:
            target += ["--platform", f"manylinux_{glibc}_{platform.machine()}"]
        target += ["--platform", f"manylinux2014_{platform.machine()}"]
    ready = [pins[name] for name in wanted if name not in _BUILT]
    _pip(["download", "--only-binary=:all:", *target, "--dest", str(folder)], ready)
    if built := [pins[name] for name in _BUILT if name in wanted]:
        _pip(["wheel", "--wheel-dir", str(folder)], built)


def _pins(lock: str) -> dict[str, str]:
    """Return the requirement of each package with its hashes, without its condition."""
    entries = re.findall(
        r"^(\S+)==(\S+) ;[^\n]*((?:\n    --hash=\S+(?: \\)?)+)", lock, re.MULTILINE
    )
    return {
        normal(name): " ".join([f"{name}=={version}", *_HASH.findall(hashes)])
        for name, version, hashes in entries
    }


def _pip(arguments: Sequence[str], requirements: Sequence[str]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(requirements) + "\n")
        file.flush()
        command = [sys.executable, "-m", "pip", *arguments, "--no-deps", "--quiet"]
        command += ["--disable-pip-version-check", "--require-hashes", "-r", file.name]
        result = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - pip itself
    if result.returncode:
        raise WheelError(f"pip failed:\n{result.stderr.strip()[-2000:]}")


def normal(name: str) -> str:
    """Return a package's name as indexes compare it (PEP 503)."""
    return _NAME.sub("-", name).lower()

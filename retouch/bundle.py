"""`retouch bundle`: all that a machine without a network needs for a profile, in one file."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from models.catalog.card import Profile
from models.catalog.profile import load_profile
from models.catalog.requirements import extras
from models.errors import BundleError, InvalidSettingsError, UnknownProfileError
from models.settings import ModelSettings, read_settings
from models.weights import download
from models.weights.bundle import bundle as write_weights
from models.weights.cache import WeightsCache
from retouch import platform_name
from retouch.failures import fail

app = typer.Typer(add_completion=False, rich_markup_mode=None)

ROOT = Path(__file__).parents[1]
INSIDE = "retouch-bundle"
"""The folder in the file."""
_SOURCES = ("imaging", "models", "pipelines", "retouch", "server", "storage")
_ALSO = ("pyproject.toml", "README.md", "LICENSE")
_REQUIREMENTS = Path("deploy", "requirements")


@app.command()
def bundle(
    output: Annotated[Path, typer.Option("--output", "-o", help="The .tar file to write.")],
    profile: Annotated[
        str | None, typer.Option(help="A profile of the catalogue. Default: RETOUCH_PROFILE.")
    ] = None,
) -> None:
    """Put wheels, weights and pages for this platform and this Python into one file.

    It needs a checkout, and the network for what is missing here. Status 1: something could not be fetched.
    """
    if not (ROOT / _REQUIREMENTS).is_dir():
        raise fail("bundle: call it in a checkout: ./scripts/retouch bundle", 2)
    try:
        settings = read_settings(ModelSettings)
        name = profile or settings.profile
        cards = load_profile(name)
    except (InvalidSettingsError, UnknownProfileError) as error:
        raise fail(str(error), 2) from None
    if name.endswith(".toml"):
        raise fail(
            "bundle: name a profile of the catalogue; copy a profile of your own yourself", 2
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=".bundling-") as made:
            folder = Path(made) / INSIDE
            folder.mkdir()
            _weights(cards, WeightsCache(settings.weights_dir, settings.models_dir), folder)
            _wheels(_REQUIREMENTS / f"{'-'.join(extras(cards, 'local')) or 'lite'}.txt", folder)
            _rest(name, folder)
            _pack(folder, output)
    except (OSError, BundleError) as error:
        raise fail(f"bundle: {error}") from None
    typer.echo(f"{_sha256(output)}  {output}")


def _weights(cards: Profile, cache: WeightsCache, folder: Path) -> None:
    """Write the weights of a profile into a folder; those that are missing are fetched before."""
    failures = download.fetch_profile(cards, cache, thorough=True)
    problems = {**{n: p for n, p in cache.verify(cards).items() if p}, **failures}
    if problems:
        raise fail("\n".join(f"{part}: {text}" for part, text in problems.items()))
    write_weights(cards, cache, folder / "weights.tar")


def _wheels(locked: Path, folder: Path) -> None:
    """Write the wheels of the locked packages and of this program, and the list of their hashes."""
    wheels = folder / "wheels"
    with tempfile.TemporaryDirectory() as scratch:
        pip = [_python_with_pip(Path(scratch)), "-m", "pip", "--disable-pip-version-check"]
        sources = Path(scratch) / "sources"
        for name in _SOURCES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        for name in _ALSO:
            shutil.copy(ROOT / name, sources)
        # Packages that are published as sources alone are built here, from sources with the locked hash.
        hashed = ["--require-hashes", "--requirement", str(ROOT / locked)]
        for what in (hashed, ["--no-deps", str(sources)]):
            command = [*pip, "wheel", "--quiet", "--wheel-dir", str(wheels), *what]
            done = subprocess.run(command, check=False)  # noqa: S603 - our own list of packages
            if done.returncode:
                raise fail("bundle: the packages could not be fetched or built; see above")
    (folder / "requirements.txt").write_text("".join(sorted(_pinned(wheels))))


def _pinned(wheels: Path) -> Iterator[str]:
    """Yield a requirement with its hash for each wheel."""
    for wheel in wheels.glob("*.whl"):
        name, version = wheel.name.split("-")[:2]
        yield f"{name}=={version} --hash=sha256:{_sha256(wheel)}\n"


def _python_with_pip(scratch: Path) -> str:
    """Return this Python if it has pip, else that of a new environment, which has."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    command = [sys.executable, "-m", "venv", str(scratch / "pip")]
    if subprocess.run(command, check=False).returncode:  # noqa: S603 - this Python
        raise fail("bundle: this Python has no pip, and makes no environment with it; see above")
    return str(scratch / "pip" / "bin" / "python")


def _rest(profile: str, folder: Path) -> None:
    """Write the pages, the script that installs all, and what it asks for."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "docs", folder / "docs", ignore=ignored)
    shutil.copy(ROOT / "deploy" / "install-bundle", folder / "install")
    shutil.copy(platform_name.__file__, folder)
    (folder / "platform").write_text(f"{platform_name.platform_name()}\n")
    (folder / "profile").write_text(f"{profile}\n")


def _pack(folder: Path, output: Path) -> None:
    """Write the file whole or not at all; what is in it is compressed already."""
    unfinished = folder.parent / "bundle.tar"
    with tarfile.open(unfinished, "w") as tar:
        tar.add(folder, INSIDE, filter=_without_owner)
    unfinished.replace(output)


def _without_owner(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    return info


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

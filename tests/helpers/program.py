"""The application with the real models of a profile, as the program builds it."""

from pathlib import Path

from fastapi import FastAPI

from server import __main__ as program
from server.app import create_app
from server.settings import Settings

TOKEN = {"api_token": "program"}


def real_app(profile: str, data_dir: Path, weights_dir: Path | None = None) -> FastAPI:
    """Return the application; each model is loaded when a request first needs it.

    data_dir: an empty folder. weights_dir: a folder of weights, which may be fetched into it; without one
    they are made in data_dir, as `tiny` does.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    if weights_dir is not None:
        weights_dir.mkdir(parents=True, exist_ok=True)
        (data_dir / "weights").symlink_to(weights_dir.absolute())
    settings = Settings(data_dir=data_dir, profile=profile, preload=False, device="cpu", workers=2)
    return create_app(settings, program._models(settings))

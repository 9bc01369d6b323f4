"""The commands that were programs: serve, openapi, smoke and deploy-models."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from retouch.command import app
from retouch.lazy import COMMANDS
from scripts.openapi import FILE
from tests.helpers.places import ROOT
from tests.helpers.server_process import Server


def test_every_command_says_what_it_does() -> None:
    text = CliRunner().invoke(app, ["--help"]).stdout
    for name, (_, line) in COMMANDS.items():
        assert f"  {name} " in text
        help_text = CliRunner().invoke(app, [name, "--help"])
        assert help_text.exit_code == 0
        assert line.endswith(".")
        assert f"retouch {name}" in help_text.stdout.replace("root ", "retouch ")


def test_a_misspelled_command_is_an_error() -> None:
    result = CliRunner().invoke(app, ["serv"])
    assert result.exit_code == 2
    assert "No such command 'serv'" in result.stderr


def test_the_list_of_commands_imports_none_of_them() -> None:
    code = "import sys, retouch, retouch.lazy; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = done.stdout.split()
    assert "retouch.lazy" in names
    assert not {"server", "numpy", "cv2", "fastapi", "sqlalchemy", "pydantic"} & set(names)


@pytest.mark.slow
def test_the_document_is_printed_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETOUCH_PORT", "no number")  # no setting changes it
    assert CliRunner().invoke(app, ["openapi", "-o", str(tmp_path / "o.json")]).exit_code == 0
    assert json.loads((tmp_path / "o.json").read_text()) == json.loads(FILE.read_text())
    refused = CliRunner().invoke(app, ["openapi", "-o", str(tmp_path / "none" / "o.json")])
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)


@pytest.mark.slow
@pytest.mark.program
def test_a_server_started_by_the_command_is_called_on_every_route(
    tmp_path: Path, weights_dir: Path, lite: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(tmp_path, weights_dir)
    launched = subprocess.Popen
    words = [sys.executable, "-m", "retouch", "serve", "--port", "0"]
    monkeypatch.setattr(subprocess, "Popen", lambda _, **rest: launched(words, **rest))
    try:
        server.start(PORT="1")  # the option stands before the variable
        monkeypatch.undo()
        address, folder = str(server.http.base_url).rstrip("/"), tmp_path / "smoke"
        done = CliRunner().invoke(app, ["smoke", address, "secret-a", str(folder)])
        assert done.exit_code == 0, done.output
        assert done.stdout.count("ok  200") >= 10
        with Image.open(folder / "sheet.png") as sheet:
            sheet.load()
        assert CliRunner().invoke(app, ["smoke", address, "wrong", str(folder)]).exit_code == 1
        assert server.end() == 0
    finally:
        server.close()


def test_smoke_without_a_server_or_photographs_says_so(tmp_path: Path) -> None:
    gone = CliRunner().invoke(app, ["smoke", "http://127.0.0.1:9", "t", str(tmp_path / "out")])
    assert gone.exit_code == 1
    assert gone.stderr.startswith("http://127.0.0.1:9: ")
    none = CliRunner().invoke(app, ["smoke", "--photos", str(tmp_path)])
    assert none.exit_code == 2
    assert "name the folder with --photos" in none.stderr


def test_serve_refuses_what_the_server_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "RETOUCH_WORKERS": "none"}
    done = subprocess.run(
        [sys.executable, "-m", "retouch", "serve"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (
        2,
        "settings: RETOUCH_WORKERS must be a whole number\n",
    )

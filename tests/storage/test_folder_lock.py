"""The folder lock: one server at a time, and a dead server's lock is free."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.errors import FolderInUseError
from storage.folder_lock import FolderLock
from tests.helpers.places import ROOT


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "data")
    with pytest.raises(FolderInUseError, match="another server"):
        FolderLock(tmp_path / "data")
    FolderLock(tmp_path / "other").close()
    first.close()
    FolderLock(tmp_path / "data").close()


def test_a_killed_server_releases_the_folder(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from storage.folder_lock import FolderLock;"
        " lock = FolderLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(FolderInUseError):
        FolderLock(tmp_path)
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    holder.stdout.close()
    FolderLock(tmp_path).close()

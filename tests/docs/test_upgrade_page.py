"""The commands of docs/upgrade.md save the data of a server that runs, and bring it back."""

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from tests.docs.blocks import blocks
from tests.helpers.places import ROOT

BACKUP, RESTORE = (
    block.text for block in blocks(ROOT / "docs" / "upgrade.md") if block.language == "sh"
)


def run(shell: str, folder: Path) -> None:
    subprocess.run(["dash", "-eu", "-c", shell], cwd=folder, check=True, timeout=60)


def test_a_backup_is_whole_though_the_database_is_open(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "visuals").mkdir(parents=True)
    (data / "visuals" / "one").write_text("saved")
    (data / "link-secret").write_text("secret")
    (data / "weights").mkdir()
    with closing(sqlite3.connect(data / "records.db", isolation_level=None)) as server:
        server.execute("PRAGMA journal_mode = WAL")
        server.execute("PRAGMA wal_autocheckpoint = 0")
        server.execute("CREATE TABLE visuals (name TEXT)")
        server.execute("INSERT INTO visuals VALUES ('one')")
        run(BACKUP, tmp_path)
        assert (data / "records.db-wal").stat().st_size > 0  # what a copy of the file would lack
        server.execute("INSERT INTO visuals VALUES ('two')")
    (data / "visuals" / "two").write_text("later")
    assert {file.name for file in (tmp_path / "backup").iterdir()} == {
        "records.db",
        "link-secret",
        "visuals",
    }
    run(RESTORE, tmp_path)
    with closing(sqlite3.connect(data / "records.db")) as restored:
        assert restored.execute("SELECT name FROM visuals").fetchall() == [("one",)]
    assert [file.name for file in (data / "visuals").iterdir()] == ["one"]
    assert (data / "link-secret").read_text() == "secret"
    assert (data / "weights").is_dir()

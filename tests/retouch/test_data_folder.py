"""Where an installed command keeps its data."""

from pathlib import Path

import pytest
from platformdirs import user_data_path

from retouch.data_folder import choose_data_folder

USERS = {"RETOUCH_DATA_DIR": str(user_data_path("retouch"))}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def chosen(environment: dict[str, str], checkout: Path = Path("/nowhere")) -> dict[str, str]:
    choose_data_folder(environment, checkout)
    return environment


def test_it_is_the_folder_of_the_user() -> None:
    assert chosen({}) == USERS
    assert chosen({"RETOUCH_DATA_DIR": " "}) == USERS  # counts as unset


def test_a_setting_decides() -> None:
    for name in ("RETOUCH_DATA_DIR", "retouch_data_dir"):
        assert chosen({name: "/mine"}) == {name: "/mine"}


def test_a_checkout_keeps_its_own(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    assert chosen({}, tmp_path) == {}


@pytest.mark.parametrize("name", ["records.db", "weights"])
def test_a_folder_of_a_server_stays_in_use(name: str) -> None:
    Path("data").mkdir()
    assert chosen({}) == USERS
    (Path("data") / name).mkdir()
    assert chosen({}) == {}

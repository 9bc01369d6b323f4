"""Where an installed command keeps weights and data: in the folder of the user, not in that of the call."""

from collections.abc import MutableMapping
from pathlib import Path

from platformdirs import user_data_path

from models.variables import setting

_VARIABLE = "RETOUCH_DATA_DIR"
_CHECKOUT = Path(__file__).parents[1]
_MADE_BY_SERVER = ("records.db", "weights", "link-secret")


def choose_data_folder(environment: MutableMapping[str, str], checkout: Path = _CHECKOUT) -> None:
    """Set RETOUCH_DATA_DIR to the user's data folder if it is unset.

    Not in a checkout, whose scripts keep `data` there, and not where a server has made a folder `data`
    already: its tokens and weights are in it. checkout: the folder of the packages, for tests.
    """
    if setting(environment, "DATA_DIR", ""):
        return
    if (checkout / "pyproject.toml").is_file():
        return
    if any((Path("data") / name).exists() for name in _MADE_BY_SERVER):
        return
    environment[_VARIABLE] = str(user_data_path("retouch"))

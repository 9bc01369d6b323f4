"""The environments of the scripts: scripts that share a folder need the same packages in it."""

import re

from tests.helpers.places import ROOT

CALL = re.compile(r"scripts/environment (\.venv\S*) (\S+)")


def test_no_script_rebuilds_the_environment_of_another() -> None:
    wanted: dict[str, set[str]] = {}
    for script in sorted((ROOT / "scripts").iterdir()):
        if script.is_file() and script.suffix == "":
            for folder, extras in CALL.findall(script.read_text()):
                wanted.setdefault(folder, set()).add(extras)
    assert wanted[".venv-test"] == {"cluster,test"}
    assert all(len(extras) == 1 for extras in wanted.values()), wanted

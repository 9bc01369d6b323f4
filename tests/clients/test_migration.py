"""The commands of docs/migration.md and those of v2 in the README work on a real server.

The tables of the page name the fields of both versions.
"""

import json
import os
import re
import shutil
import subprocess
import time

import pytest

from tests.contract.published import ROUTES
from tests.contract.published_v2 import ROUTES_V2
from tests.contract.route import Route
from tests.helpers.places import ROOT
from tests.helpers.server_process import Server

PAGE = (ROOT / "docs" / "migration.md").read_text()
ASK, FOLLOW = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
_README = (ROOT / "README.md").read_text().partition("Version 2 works as")[2]
README_ASK, _, README_FOLLOW = (
    re.findall(r"^```sh\n(.*?)^```$", _README, re.MULTILINE | re.DOTALL)[0].strip().rpartition("\n")
)
SECTION = re.compile(
    r"^### `/v1(\S+)` becomes `/v2(\S+)`\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL
)
SECTIONS = {new: (old, text) for old, new, text in SECTION.findall(PAGE)}
GENERAL = PAGE[PAGE.index("What changes on every route") : PAGE.index("### `/v1/eraser`")]
_TIMEOUT_S = 60


def run(command: str, running: Server, **variables: str) -> dict[str, str]:
    """Run a command of the page; return what the server answered."""
    address = str(running.http.base_url).rstrip("/")
    here = command.replace("http://127.0.0.1:8000", address).replace("REQUEST_ID", "$request_id")
    here = re.sub(r"(token=|token: )me", r"\1secret-a", here)
    here = f"host={address} token=secret-a\n{here}"
    environment = {**os.environ, **variables}
    done = subprocess.run(
        ["sh", "-c", here], cwd=ROOT, env=environment, capture_output=True, timeout=_TIMEOUT_S
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("ask", "follow"), [(ASK, FOLLOW), (README_ASK, README_FOLLOW)], ids=["migration", "readme"]
)
def test_the_commands_send_a_picture_and_ask_for_its_state(
    running: Server, ask: str, follow: str
) -> None:
    accepted = run(ask, running)
    assert set(accepted) == {"request_id", "status_url"}
    deadline = time.monotonic() + _TIMEOUT_S
    state = run(follow, running, request_id=accepted["request_id"])
    while state["status"] == "IN_PROGRESS":
        assert time.monotonic() < deadline
        time.sleep(0.2)
        state = run(follow, running, request_id=accepted["request_id"])
    assert state["status"] == "COMPLETED"


@pytest.mark.parametrize("route", ROUTES_V2, ids=lambda route: str(route.path))
def test_every_field_of_a_route_is_in_its_table_or_in_the_general_one(route: Route) -> None:
    # Routes that only v2 has are in the last section.
    old, table = SECTIONS.get(route.path, ("", PAGE[PAGE.index("## Edits by words") :]))
    before = [one for one in ROUTES if one.path == old]
    for field in (*route.fields, *(field for one in before for field in one.fields)):
        assert f"`{field.name}`" in table + GENERAL, field.name
    for key in route.answer:
        assert re.search(rf"`result\.{key}`", table + GENERAL), key

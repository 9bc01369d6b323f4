"""The results of profile `lite` are what they were, within what processors differ by.

`scripts/test tests/golden --renew-golden` keeps them as they are now, for a change that is meant to change
them; the commit then says which and why.
"""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.golden import calls
from tests.golden.kept import GOLDEN, check
from tests.helpers.program import real_app


def test_results_are_what_they_were(
    weights_dir: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    app = real_app("lite", tmp_path / "data", weights_dir)
    with TestClient(app) as client:
        renew = bool(pytestconfig.getoption("renew_golden"))
        check(client, calls.lite(), GOLDEN / "lite", tmp_path / "results", renew)

"""The results of profile `lite` have not changed, except for differences between processors.

For a change that is meant to change results, `scripts/test tests/golden --renew-golden` stores the new
ones; the commit then says which changed and why.
"""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.golden import calls
from tests.golden.comparison import GOLDEN, check
from tests.helpers.program import real_app


def test_results_have_not_changed(
    weights_dir: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    app = real_app("lite", tmp_path / "data", weights_dir)
    with TestClient(app) as client:
        renew = bool(pytestconfig.getoption("renew_golden"))
        check(client, calls.lite(), GOLDEN / "lite", tmp_path / "results", renew)

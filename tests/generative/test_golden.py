"""The results of profile `tiny` have not changed, except for differences between processors.

`scripts/test tests/generative/test_golden.py --renew-golden` stores the new ones.
"""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.golden import calls
from tests.golden.comparison import GOLDEN, check
from tests.helpers.program import real_app


def test_results_have_not_changed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    app = real_app("tiny", tmp_path / "data")
    with TestClient(app) as client:
        renew = bool(pytestconfig.getoption("renew_golden"))
        check(client, calls.tiny(), GOLDEN / "tiny", tmp_path / "results", renew)

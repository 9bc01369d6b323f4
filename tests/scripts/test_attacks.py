"""The attacks of scripts/hardening that need whole servers, at a small size."""

import pytest

from scripts.hardening import faults, marks

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lite")]


def test_no_marked_result_is_swapped_or_lost() -> None:
    assert marks.run(0.5) == []


def test_the_server_survives_faults() -> None:
    assert faults.run(0.01) == []

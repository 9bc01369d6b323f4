"""The attacks of scripts/hardening that need whole servers, at a small size."""

from itertools import repeat
from typing import Any

import pytest

from scripts.hardening import faults, marks, schema_examples
from scripts.hardening.common.document_cases import Case, Source
from server.operations import OPERATIONS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("lite")]


def test_no_marked_result_is_swapped_or_lost() -> None:
    assert marks.run(0.3) == []  # in so short a time nothing is killed


def test_the_server_survives_faults() -> None:
    assert faults.run(0.01) == []


def test_every_operation_answers_an_ordinary_request_as_documented(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ordinary(_: dict[str, Any]) -> Source:
        return lambda operation: repeat(Case({}, {}))

    # create needs a person, of whom person/info tells later in the first round.
    outcome = schema_examples.attack(ordinary, wanted=1, rounds=2)
    assert outcome.findings(wanted=1) == []
    out = capsys.readouterr().out
    assert out.count(" 1 successes; ") > len(OPERATIONS)
    assert " 0 successes; " not in out

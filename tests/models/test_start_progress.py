"""The progress of a start, as `/readyz` tells it."""

from models.start_progress import StartProgress

MIB, GIB = 2**20, 2**30


def test_nothing_is_told_before_anything_is_known() -> None:
    progress = StartProgress()
    assert progress.as_json() == {}
    assert str(progress) == ""


def test_bytes_of_the_parts_are_added_up_and_never_become_fewer() -> None:
    progress = StartProgress()
    progress.expect_parts({"a": 3 * GIB, "b": GIB, "c": 0})
    assert str(progress) == "0.0 of 4.0 GiB"
    progress.begin_part("first")
    progress.fetched("a", GIB, 2 * GIB)  # the list of its files says that it is smaller
    assert progress.as_json() == {
        "card": "first",
        "bytes": GIB,
        "total_bytes": 3 * GIB,
        "parts": 0,
        "total_parts": 3,
    }
    progress.fetched("a", 0, 2 * GIB)  # the next source begins again
    assert progress.as_json()["bytes"] == GIB
    progress.end_part("a")
    progress.end_part("c")
    progress.begin_part("second")
    assert progress.as_json()["bytes"] == 2 * GIB
    assert (progress.as_json()["parts"], progress.as_json()["card"]) == (2, "second")
    assert str(progress) == "2.0 of 3.0 GiB"


def test_small_weights_are_told_in_mebibytes() -> None:
    progress = StartProgress()
    progress.expect_parts({"a": 8 * MIB})
    progress.fetched("a", MIB, 8 * MIB)
    assert str(progress) == "1.0 of 8.0 MiB"


def test_failures_are_told_and_models_follow_the_weights() -> None:
    progress = StartProgress()
    progress.expect_parts({"a": MIB})
    progress.fail("net", "gated: accept its licence")
    progress.load("fill", 2, 13)
    assert progress.as_json() == {
        "card": "fill",
        "models": 2,
        "total_models": 13,
        "failed": {"net": "gated: accept its licence"},
    }
    assert str(progress) == "2 of 13"

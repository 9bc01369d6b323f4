"""The progress of a fetch: one line that changes on a terminal, few lines elsewhere."""

import io
import sys
import time

import pytest

from models.weights.progress import ShownProgress, numbered

MIB = 2**20


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_line_is_rewritten(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    shown = numbered(ShownProgress(), 2, 3)
    for done in (0, MIB, 4 * MIB):
        shown("net.onnx", done, 4 * MIB)
    assert screen.getvalue().split("\r\x1b[K") == [
        "",
        "fetching net.onnx (2 of 3), 4.0 MiB",
        "fetching net.onnx (2 of 3), 4.0 MiB, 25 %",
        "fetching net.onnx (2 of 3), 4.0 MiB, 100 %\n",
    ]


def test_in_a_log_each_file_has_a_line_and_a_long_one_another_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    shown = ShownProgress()
    for second in range(25):
        now = 100.0 + second
        shown("net.onnx", second * MIB, 25 * MIB)
    shown("wheel 1.0", 0, 0)
    assert capsys.readouterr().err.splitlines() == [
        "fetching net.onnx, 25.0 MiB",
        "fetching net.onnx, 25.0 MiB, 40 %",
        "fetching net.onnx, 25.0 MiB, 80 %",
        "fetching wheel 1.0",
    ]

"""The lines of the log: callers cannot forge one, none is endless, and each has the fields that it should."""

import io
import json
import logging
import subprocess
import sys
from typing import Any, get_args

import pytest

from models.log_context import log_context, log_scope
from models.log_lines import FIELDS, LogFormat, formatter, printable

FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
HOSTILE = (
    "a\n2026-11-28 01:00:00,000 INFO retouch: forged\r\x1b[2J\x00\u2028\u202e\ud800\x9b31m\u0085"
)
"""Ends the line, moves the cursor, turns the direction, is no valid Unicode."""


@pytest.fixture(params=FORMATS)
def form(request: pytest.FixtureRequest) -> LogFormat:
    form: LogFormat = request.param
    return form


def line_of(form: LogFormat, text: str, *args: object, **fields: Any) -> str:
    """Return the line of a record. fields: of its `extra`, and exc_info."""
    log, out = logging.Logger("retouch.test"), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter(form))
    log.addHandler(handler)
    log.error(text, *args, exc_info=fields.pop("exc_info", None), extra=fields)
    return out.getvalue().removesuffix("\n")


def test_a_line_has_time_level_logger_and_text() -> None:
    assert (
        line_of("console", "the %s is full", "disk")[24:] == "ERROR retouch.test: the disk is full"
    )
    line = json.loads(line_of("json", "the %s is full", "disk", code=503))
    assert list(line) == ["time", "level", "logger", "event", "code"]
    assert line["time"].endswith("+00:00")
    assert (line["level"], line["logger"]) == ("error", "retouch.test")
    assert (line["event"], line["code"]) == ("the disk is full", 503)


def test_a_level_of_a_library_of_its_own_has_a_line(form: LogFormat) -> None:
    log, out = logging.Logger("a.library"), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter(form))
    log.addHandler(handler)
    log.log(25, "a notice")
    assert "a.library" in out.getvalue()
    assert "level 25" in out.getvalue().lower()
    assert "a notice" in out.getvalue()


def test_the_text_of_a_caller_stays_in_its_line(form: LogFormat) -> None:
    for line in (
        line_of(form, "no file %s", HOSTILE),
        line_of(form, HOSTILE),
        line_of(form, "x", operation=HOSTILE),
        line_of(form, "x", request_ids=[HOSTILE]),
    ):
        assert line.isprintable()
        assert "\\n2026" in line
        line.encode()


def test_no_line_of_a_traceback_looks_like_a_line_of_the_log(form: LogFormat) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        first, *others = line_of(form, "it failed", exc_info=True).split("\n")
    assert "it failed" in first
    assert all(line.startswith("    | ") for line in others)
    assert all(line.isprintable() for line in (first, *others))
    assert len(others) == 0 or form == "console"
    if form == "json":
        assert "ValueError: a" in json.loads(first)["exception"]


def test_a_field_of_the_console_cannot_look_like_two() -> None:
    line = line_of("console", "x", organisation="a token=b", token='c"', operation="", ms=None)
    assert line.endswith("""x organisation='a token=b' token='c"' operation=''""")


def test_no_line_is_endless(form: LogFormat) -> None:
    try:
        raise ValueError("x\n" * 1_000_000)
    except ValueError:
        line = line_of(form, "y" * 10**6, token="z" * 10**6, exc_info=True)
    assert len(line) < 80_000
    assert "(1000000 characters)" in line


def test_only_known_fields_are_in_a_line(form: LogFormat) -> None:
    """Libraries give records attributes of their own: uvicorn a text with colours."""
    line = line_of(form, "x", color_message="\x1b[31mx", request_id="r1")
    assert "color_message" not in line
    assert "r1" in line


def test_the_context_of_work_is_in_its_lines(form: LogFormat) -> None:
    with log_scope({"request_id": "r1", "job_id": "j1"}):
        with log_scope({"request_id": "r2"}):
            assert log_context() == {"request_id": "r2", "job_id": "j1"}
            assert {"r2", "j1"} <= set(FIELDS) | set(_words(line_of(form, "x")))
        assert "r1" in _words(line_of(form, "x"))
    assert log_context() == {}


def _words(line: str) -> list[str]:
    return line.replace('"', " ").replace("=", " ").split()


def test_what_can_be_printed_is_not_changed() -> None:
    assert printable("Ünïcode, 日本語, emoji 🎨") == "Ünïcode, 日本語, emoji 🎨"


PROGRAM = """
import logging, threading, warnings
from models.log_lines import configure_logs
configure_logs("json", "info")
logging.getLogger("sqlalchemy.engine").info("a library")
logging.getLogger("retouch").debug("not shown")
warnings.warn("an old call")
thread = threading.Thread(target=lambda: 1 / 0, name="worker")
thread.start()
thread.join()
raise RuntimeError("the end")
"""


def test_with_json_a_program_writes_nothing_else() -> None:
    """Warnings, and errors that nothing catches, are lines too."""
    command = [sys.executable, "-W", "always", "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["logger"] for line in lines] == [
        "sqlalchemy.engine",
        "py.warnings",
        "retouch",
        "retouch",
    ]
    assert lines[2]["event"] == "thread worker ended by an error"
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "RuntimeError: the end" in lines[3]["exception"]
    assert done.returncode == 1

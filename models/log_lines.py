"""The form of the log: what each line has, as text for people or as JSON, and that callers cannot forge a line.

Every logger of the standard library writes through it, also those of uvicorn, DBOS, SQLAlchemy and Ray.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal

import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, plain_traceback
from structlog.stdlib import ExtraAdder, ProcessorFormatter
from structlog.typing import EventDict, Processor

from models.log_context import JOB_ID, REQUEST_ID, TRACEPARENT

log = logging.getLogger("retouch")

LogFormat = Literal["console", "json"]
LogLevel = Literal["critical", "error", "warning", "info", "debug"]

ABOUT_REQUESTS = "retouch.audit"
"""The logger of the lines about requests. Their text tells the operation and the code already."""
FIELDS = (
    REQUEST_ID,
    JOB_ID,
    "request_ids",
    "trace_id",
    "organisation",
    "token",
    "operation",
    "code",
    "bytes_in",
    "bytes_out",
    "ms",
)
"""What a line may have beside its time, level, logger and text. Code gives it as `extra`, or by `log_scope`."""
_FIRST = ("time", "level", "logger", "event")
_MAX_TEXT = 4000
"""Longest text of a line, and of each of its fields, in characters."""
_MAX_TRACEBACK = 16_000
_INDENT = "    | "
"""Before each line of a traceback, so that none looks like the beginning of a line of the log."""


def configure_logs(form: LogFormat, level: LogLevel) -> None:
    """Log to the standard error from `level` on, unless the root logger has handlers; raises nothing.

    Errors that nothing catches are logged too, so that with "json" each line is JSON.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(form, is_terminal=sys.stderr.isatty()))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if form == "json":
        logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_of_thread


def formatter(form: LogFormat, *, is_terminal: bool = False) -> logging.Formatter:
    """Return what makes a line of a record. is_terminal: whether colours help."""
    first: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        _add_trace,
        ExtraAdder(allow=FIELDS),
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_time if form == "json" else _add_local_time,
    )
    last: Sequence[Processor]
    if form == "json":
        last = (_tidy, _in_order, structlog.processors.JSONRenderer())
    else:
        last = (_tidy, _without_repetition, _indented, _console(colors=is_terminal))
    return ProcessorFormatter(
        foreign_pre_chain=first,
        processors=(
            structlog.processors.format_exc_info,
            ProcessorFormatter.remove_processors_meta,
            *last,
        ),
    )


def _console(*, colors: bool) -> ConsoleRenderer:
    """Return what writes a line as text: time, level, logger, text, then `field=value`."""
    styles = ConsoleRenderer.get_default_column_styles(colors=colors)
    levels = ConsoleRenderer.get_default_level_styles(colors=colors)

    def column(style: str, postfix: str = "") -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, styles.reset, str, postfix=postfix)

    def level(key: str, value: object) -> str:
        # A library may have levels of its own, such as 5 of uvicorn's trace.
        return f"{levels.get(str(value), styles.bright)}{str(value).upper()}{styles.reset}"

    field = KeyValueColumnFormatter(styles.kv_key, styles.kv_value, styles.reset, _shown)
    return ConsoleRenderer(
        columns=[
            Column("time", column(styles.timestamp)),
            Column("level", level),
            Column("logger", column(styles.logger_name, ":")),
            Column("event", column(styles.bright if colors else "")),
            Column("", field),
        ],
        exception_formatter=plain_traceback,
        sort_keys=False,
    )


def _shown(value: object) -> str:
    """Return a value so that it cannot look like two fields."""
    text = str(value)
    return repr(value) if set(text) & set(" =\"'") or not text else text


def _add_trace(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the id of the trace of the context, if traces are exported."""
    if (span := event.pop(TRACEPARENT, None)) is not None:
        event["trace_id"] = span.split("-")[1]
    return event


def _add_time(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the time in UTC."""
    made = datetime.fromtimestamp(event["_record"].created, UTC)
    event["time"] = made.isoformat(timespec="milliseconds")
    return event


def _add_local_time(_: Any, __: str, event: EventDict) -> EventDict:
    """Add the time of the machine."""
    made = datetime.fromtimestamp(event["_record"].created)
    event["time"] = made.isoformat(" ", "milliseconds").replace(".", ",")
    return event


def _tidy(_: Any, __: str, event: EventDict) -> EventDict:
    """Make every value short and printable: texts of callers must not look like another line."""
    for name, value in event.items():
        if name == "exception":
            event[name] = _cut_traceback(value)
        elif isinstance(value, list | tuple):
            event[name] = [_tidied(one) for one in value]
        else:
            event[name] = _tidied(value)
    return event


def _tidied(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(str(value))


def printable(text: str, most: int = _MAX_TEXT) -> str:
    r"""Return a text without characters that a terminal would not show as themselves, cut at `most` characters.

    Line ends, escape sequences, marks that turn the direction of the text and the like become `\n`, `\x1b`,
    `\u202e`.
    """
    if len(text) > most:
        text = f"{text[:most]}… ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _cut_traceback(text: str) -> str:
    """Return a traceback of bounded length, with the line ends that it has."""
    if len(text) > _MAX_TRACEBACK:
        half = _MAX_TRACEBACK // 2
        text = f"{text[:half]}\n…\n{text[-half:]}"
    return "\n".join(map(printable, text.split("\n")))


def _in_order(_: Any, __: str, event: EventDict) -> EventDict:
    return {**{name: event[name] for name in _FIRST}, **event}


def _without_repetition(_: Any, __: str, event: EventDict) -> EventDict:
    """Remove the fields that the text of a line about a request tells, and those that are empty."""
    if event["logger"] == ABOUT_REQUESTS:
        event = {name: value for name, value in event.items() if name not in ("operation", "code")}
    return {name: value for name, value in event.items() if value is not None}


def _indented(_: Any, __: str, event: EventDict) -> EventDict:
    """Indent a traceback, so that none of its lines looks like the beginning of one."""
    if "exception" in event:
        lines = event["exception"].split("\n")
        event["exception"] = "\n".join(f"{_INDENT}{line}" for line in lines)
    return event


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        log.critical("the process ends by an error", exc_info=(kind, error, trace))


def _log_uncaught_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and args.exc_type is not SystemExit:
        name = args.thread.name if args.thread else ""
        log.error(
            "thread %s ended by an error",
            name,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )

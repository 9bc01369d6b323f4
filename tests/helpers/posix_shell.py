"""What shell scripts must not use: it is bash's, not POSIX's."""

import re

BASH_ONLY = {
    "an array": r"^\s*\w+\+?=\(|\$\{\w+\[",
    "[[": r"\[\[ ",
    "((": r"(?<!\$)\(\(",
    "pipefail": r"pipefail",
    "a replacement": r"\$\{\w+//?[^}]",
    "a substring": r"\$\{\w+:[0-9]",
    "+=": r"^\s*\w+\+=",
    "BASH_": r"BASH_|\bSECONDS\b|\$RANDOM",
    "a process substitution": r"[<>]\(",
    "a here-string": r"<<<",
    "&>": r"&>",
    "a word of bash": r"^\s*(source|function|declare|local|typeset|shopt|mapfile|let|select)\s",
    "wait -n": r"\bwait -",
    "$'...'": r"\$'",
    "echo -e": r"\becho -",
}
"""What POSIX does not have, by name, as a pattern for one line without its comment."""


def bash_only(lines: list[str]) -> list[str]:
    """Return the lines that POSIX does not have, each with the name of what it uses."""
    return [
        f"{name}: {line}"
        for line in lines
        for name, pattern in BASH_ONLY.items()
        if re.search(pattern, line)
    ]

"""Make the text of an error fit to be kept and shown to operators: bounded, and without what callers sent."""

import re

MAX_LENGTH = 240
"""Longest text, in characters."""
_ADDRESS = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,15}://|data:)\S*", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)(['\"`]).*?\1(?!\w)")
_LONG_WORD = re.compile(r"[^\s,;]{32,}")
_READ = 2 * MAX_LENGTH
"""How much of a text is looked at, in characters."""


def for_operators(text: str) -> str:
    """Return a text in one line of at most `MAX_LENGTH` characters.

    Addresses, quotations and words of 32 characters or more may be links, names, prompts or tokens of a caller:
    "..." stands for them. Characters that are invisible or change the direction of a line become spaces.
    """
    shown = "".join(char if char.isprintable() else " " for char in text[:_READ])
    for pattern in (_ADDRESS, _QUOTED, _LONG_WORD):
        shown = pattern.sub("...", shown)
    shown = " ".join(shown.split())
    return shown if len(shown) <= MAX_LENGTH else f"{shown[: MAX_LENGTH - 3]}..."

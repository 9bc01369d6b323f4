"""Checks of the texts that callers and operators read."""

import re

JARGON = re.compile(
    r"\b(tuple|dict|dictionary|str|int|bool|float|bytes|NoneType|None|Literal|instance|pydantic|valid"
    r"|validation|input|Value error|Field required|parse|parsing|pattern|regex|True|False|RectF)\b"
    r"|Body\b|Change\b|Actions\b|<|\{|\^"
)
"""Terms of Python and pydantic."""


def check_text(text: str) -> None:
    """Check that a text is plain English and ends with one full stop."""
    assert re.fullmatch(r"[A-Za-z'/].*[\w)'%]\.", text), text
    assert not re.search(r"\.\.(?!\.)|  |:\s*:|\.:|:\.| \.", text.replace("...", "")), text
    assert not JARGON.search(text), text
    assert len(text) < 400, text

"""The secrets of the environment, and their removal from texts that people send to others."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

HIDDEN = "***"
_SECRET_NAME = re.compile(r"(?i)token|secret|password|passwd|credential|access_key")
_IN_ADDRESS = re.compile(r"(?P<start>\b[a-z][a-z0-9+.-]*://)[^\s/@]*@", re.IGNORECASE)

_IN_QUERY = re.compile(r"(?i)([?&\s](?:\w*password|\w*token|\w*secret|signature)=)([^&\s]+)")


class Secrets:
    """Replaces what must not be shown.

    That is the value of every variable whose name says that it is secret, each of its parts between commas
    and colons, the user and the password of every address, and those that stand alone.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        values: set[str] = set()
        for name, value in environment.items():
            if _SECRET_NAME.search(name):
                values |= {value.strip(), *_parts(value)}
            values |= {found[2] for found in _IN_QUERY.finditer(value)}
            for found in _IN_ADDRESS.finditer(value):
                password = found[0].partition("://")[2].removesuffix("@").partition(":")[2]
                values |= {password, unquote(password)}
        # The longest first: one may contain another.
        self._values = sorted((one for one in values if len(one) > 2), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return a text without the secrets."""
        for value in self._values:
            text = text.replace(value, HIDDEN)
        text = _IN_QUERY.sub(rf"\g<1>{HIDDEN}", text)
        return _IN_ADDRESS.sub(rf"\g<start>{HIDDEN}@", text)


def _parts(value: str) -> set[str]:
    """Return the tokens of `organisation:token,organisation:token`; one may contain colons."""
    pairs = [pair.partition(":") for pair in value.split(",")]
    return {token.strip() for _, colon, token in pairs if colon}

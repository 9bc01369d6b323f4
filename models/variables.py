"""The environment variables of the settings, read by the rules of `models.settings`.

It needs nothing but the standard library: the scripts read `RETOUCH_PROFILE`, `RETOUCH_ENGINE`,
`RETOUCH_HOST` and `RETOUCH_PORT` before anything is installed.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping

PREFIX = "RETOUCH_"

# Kubernetes sets these variables in every container of a namespace, for each of its Services.
_SERVICE_VARIABLE = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)\Z"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def setting(environment: Mapping[str, str], name: str, default: str) -> str:
    """Return a setting's text; `default` if its variable counts as unset.

    name: in capitals, without the prefix. The case of a variable does not matter.
    """
    for variable, value in variables_that_are_set(environment):
        if variable.upper() == PREFIX + name:
            return value
    return default


def variables_that_are_set(variables: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Yield the variables that are set, without the whitespace around their values.

    A variable counts as unset if it is then empty, or if Kubernetes has set it for a Service.
    """
    for name, value in variables.items():
        text = (value or "").strip()
        if text and not _is_service_variable(name, text):
            yield name, text


def tidy_credentials(variables: MutableMapping[str, str]) -> None:
    """Strip the variables of AWS's tools in place, and remove those that are then empty.

    The client of the store reads them itself. It would sign with an empty key instead of asking for the
    role of the machine, and a carriage return makes its request impossible.
    """
    for name in [name for name in variables if name.startswith("AWS_")]:
        if text := variables[name].strip():
            variables[name] = text
        else:
            del variables[name]


def _is_service_variable(name: str, value: str) -> bool:
    """Whether Kubernetes has set a variable for a Service."""
    name = name.upper()
    if name.endswith("_PORT") and _SERVICE_ADDRESS.match(value):
        return True
    return _SERVICE_VARIABLE.match(name) is not None

"""Decide by a host's name alone whether it may be public: before it is resolved, or if a proxy resolves it."""

import re
import socket
from collections.abc import Sequence

from server.http.ip_ranges import Address, Network, is_public, parse_address

_LABEL = re.compile(r"[a-z0-9_-]+")
"""What public names consist of. A proxy might read others, such as 127.0.0.1%3a80, as something else."""
_PRIVATE_DOMAINS = (
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "lan",
    "intranet",
    "corp",
    "home",
    "svc",
)
"""Ends of names that private networks use: RFC 6761, 6762 and 8375, ICANN's `internal`, and habit."""


def is_private_address(host: str, allowed_networks: Sequence[Network]) -> bool:
    """Whether a host is itself an address, in any notation, that is neither public nor allowed."""
    address = _address_in(host.lower().rstrip("."))
    return address is not None and not _is_allowed(address, allowed_networks)


def may_be_public(host: str, allowed_networks: Sequence[Network]) -> bool:
    """Whether a proxy may be asked for a host: a public address, or a name of the public domain system.

    host: in ASCII, as in a URL. An address may be in any notation that resolvers read, and may also be
    in `allowed_networks`. A name that has no dot, or ends as those of private networks do, is not
    public.
    """
    name = host.lower().rstrip(".")
    address = _address_in(name)
    if address is not None:
        return _is_allowed(address, allowed_networks)
    labels = name.split(".")
    if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or _is_number(labels[-1]):
        return False
    return not any(name.endswith(f".{domain}") for domain in _PRIVATE_DOMAINS)


def _is_allowed(address: Address, allowed_networks: Sequence[Network]) -> bool:
    return is_public(address) or any(address in network for network in allowed_networks)


def _address_in(name: str) -> Address | None:
    """Return the address that a name is, or None. IPv4 may be 2130706433 or 0x7f.1 too."""
    try:
        return parse_address(name)
    except ValueError:
        if not _is_number(name.rpartition(".")[2]):
            return None
    try:
        return parse_address(socket.inet_ntoa(socket.inet_aton(name)))
    except OSError:
        return None


def _is_number(label: str) -> bool:
    """Whether a label is a number, so that its name can only be an address."""
    return label.isdecimal() or label.startswith("0x")

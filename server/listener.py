"""The check of the address to listen on: `python3 -m server.listener` exits with 2 if it cannot be used.

`scripts/serve` runs it before anything is installed, so it needs nothing but the standard library.
"""

import errno
import os
import socket
import sys
from collections.abc import Mapping

from models.variables import setting

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000


def listener_problem(host: str, port: int, prefix: str = "RETOUCH_") -> str | None:
    """Return why no server can listen on an address, with the setting to change; None if one can.

    prefix: what the names of the two settings begin with.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        return f"{prefix}HOST {host}: no such address: {error}"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                # As asyncio does: connections of an earlier server that are still closing do no harm.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                continue  # asyncio leaves out a family that the machine does not have
            return _reason(host, port, prefix, error)
    return None


def _reason(host: str, port: int, prefix: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return (
                f"{prefix}PORT {port}: another program listens on {host} port {port};"
                f" end it, or set {prefix}PORT to another port"
            )
        case errno.EACCES | errno.EPERM:
            return (
                f"{prefix}PORT {port}: this user may not listen on port {port};"
                f" set {prefix}PORT to a port from 1024 on"
            )
        case errno.EADDRNOTAVAIL:
            return f"{prefix}HOST {host}: this machine has no such address"
        case _:
            return f"{prefix}HOST {host}, {prefix}PORT {port}: {error.strerror}"


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Check RETOUCH_HOST and RETOUCH_PORT; return the exit status: 2 if a server cannot listen there.

    A port that is not a number is left to the server, which names every invalid setting.
    """
    port = setting(environment, "PORT", str(DEFAULT_PORT))
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        return 0
    problem = listener_problem(setting(environment, "HOST", DEFAULT_HOST), int(port))
    if problem is not None:
        print(f"settings: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

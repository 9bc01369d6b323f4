"""Installs a bundle and serves with it: `unshare -rn python closed_network.py BUNDLE FOLDER`; it has no network.

It needs nothing but the standard library, because it runs outside of the environment of the tests.
"""

import fcntl
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_ADDRESS = "http://127.0.0.1:8000"
_TIMEOUT_S = 240


def loopback_up() -> None:
    """Switch on the loopback of a new network namespace, and see that nothing else can be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        asked = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(one, _SIOCGIFFLAGS, asked))[1]
        fcntl.ioctl(one, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
        try:
            one.connect(("192.0.2.1", 80))
        except OSError as error:
            print("no route:", error.strerror, flush=True)
            return
    sys.exit("There is a route out of this namespace.")


def main(bundle: Path, folder: Path) -> None:
    """Install, start the server, call every route, stop the server."""
    loopback_up()
    subprocess.run([bundle / "install", folder], check=True)
    retouch = folder / "retouch"
    server = subprocess.Popen([retouch, "serve"])
    deadline = time.monotonic() + _TIMEOUT_S
    while not _is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            server.kill()
            sys.exit("The server is not ready.")
        time.sleep(0.2)
    photos: list[str | Path] = ["--photos", folder / "docs" / "photos"]
    subprocess.run([retouch, "smoke", _ADDRESS, "any", folder / "smoke", *photos], check=True)
    server.send_signal(signal.SIGTERM)
    print("ended with", server.wait(60), flush=True)


def _is_ready() -> bool:
    try:
        with urllib.request.urlopen(f"{_ADDRESS}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The server as a separate process, and pictures to send to it."""

import base64
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
import numpy as np
from PIL import Image

from tests.helpers.places import PHOTOS, ROOT
from tests.helpers.unlimited import UNLIMITED

TOKEN = {"api_token": "secret-a"}
_TIMEOUT_S = 180
"""Timeout of anything that takes a moment on an idle machine, which other tests may keep busy."""
_LISTENS = re.compile(r"running on http://127\.0\.0\.1:(\d+)")


class Server:
    """The program on one data folder, to start, kill and start again.

    It has its own folders for temporary files and as home, so that tests see what it leaves there.
    """

    def __init__(self, folder: Path, weights_dir: Path) -> None:
        self.data = folder / "data"
        self.home, self.temporary = folder / "home", folder / "tmp"
        for made in (self.data, self.home, self.temporary):
            made.mkdir(parents=True)
        (self.data / "weights").symlink_to(weights_dir.absolute())
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}
        self.command: list[str] = [sys.executable, "-m", "server"]
        self.cwd = ROOT
        self.descriptors: int | None = None
        """Limit of open files of the process, also the hard one; None: that of this process."""
        self.http = httpx.Client(headers=TOKEN, timeout=_TIMEOUT_S)

    def launch(self, **settings: str) -> subprocess.Popen[bytes]:
        """Start the process, with RETOUCH_ settings; does not wait until it is up."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("RETOUCH_")}
        environment = {
            **inherited,
            # Nothing listens at these addresses, so that a start that needs the network fails.
            **dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9"),
            "PIP_INDEX_URL": "http://127.0.0.1:9",
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONWARNINGS": "default",
            "RETOUCH_DATA_DIR": str(self.data),
            "RETOUCH_PORT": "0",
            "RETOUCH_WORKERS": "2",
            "RETOUCH_DRAIN_S": "0",
            # Most tests use one model or none; loading all of them takes longer than the rest of a start.
            "RETOUCH_PRELOAD": "false",
            **UNLIMITED,
            **self.environment,
            **{f"RETOUCH_{name}": value for name, value in settings.items()},
        }
        command = self.command
        if self.descriptors is not None:
            command = ["sh", "-c", f'ulimit -n {self.descriptors} && exec "$0" "$@"', *command]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.cwd, env=environment, stderr=log, stdout=log
            )
        return self.process

    def start(self, **settings: str) -> "Server":
        """Start the process and wait until it is ready; it has tokens of a and b if no others are named."""
        self.launch(**{"API_TOKENS": "a:secret-a,b:secret-b", **settings})
        self.wait_for_port()
        self._until(lambda: self.http.get("/readyz").status_code == 200)
        return self

    def wait_for_port(self) -> None:
        """Wait until the launched process listens."""
        process = self.process
        assert process is not None
        self._until(lambda: _LISTENS.search(self.text()) or process.poll() is not None)
        found = _LISTENS.search(self.text())
        assert found, self.text()
        self.http.base_url = f"http://127.0.0.1:{found[1]}"

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(_TIMEOUT_S)

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.http.close()
        if self.process is not None and self.process.poll() is None:
            self.end(signal.SIGKILL)

    def text(self) -> str:
        """Return what it has logged."""
        return self.log.read_text()

    def port(self) -> int:
        """Return the port it listens on."""
        return self.http.base_url.port or 0

    def read(self, link: str) -> httpx.Response:
        """Read a result link; the link may name the port of an earlier process."""
        parts = urlsplit(link)
        return self.http.get(f"{parts.path}?{parts.query}", headers={"api_token": ""})

    def left(self) -> list[str]:
        """Return every file that requests have left, and every file outside the data folder."""
        data = [self.data / name for name in ("results", "sources", "visuals")]
        folders = [*data, self.home, self.temporary]
        # Unlike rglob, it accepts that the server removes a folder at the same time.
        return [
            str(Path(path, name))
            for folder in folders
            for path, _, names in os.walk(folder)
            for name in names
        ]

    def _until(self, happened: Callable[[], object]) -> None:
        deadline = time.monotonic() + _TIMEOUT_S
        while not happened():
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)


def sample(name: str = "coffee", width: int = 300) -> bytes:
    """Return a sample photograph, reduced to a width, as JPEG."""
    photo = Image.open(PHOTOS / f"{name}.jpg").convert("RGB")
    photo.thumbnail((width, width))
    return encoded(photo, "JPEG")


def encoded(image: Image.Image, format: str = "PNG") -> bytes:
    """Encode with Pillow."""
    out = io.BytesIO()
    image.save(out, format)
    return out.getvalue()


def whole_picture(data: bytes) -> tuple[int, int]:
    """Decode a picture to its last pixel; return its width and height."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


def mask_for(data: bytes) -> bytes:
    """Return a mask of a picture's size, white in a part of its middle, at least in one pixel."""
    width, height = whole_picture(data)
    pixels = np.zeros((height, width), np.uint8)
    top, left = height // 3, width // 3
    pixels[top : max(height // 2, top + 1), left : max(width // 2, left + 1)] = 255
    return encoded(Image.fromarray(pixels))


def b64(data: bytes) -> str:
    """Encode in base64."""
    return base64.b64encode(data).decode()

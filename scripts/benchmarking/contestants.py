"""The measured servers: how each is started, and its requests for the same work."""

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from scripts.benchmarking.load import Request, multipart
from scripts.benchmarking.servers import Server, running

ROOT = Path(__file__).parents[2]
TOKEN = "benchmark-token"  # noqa: S105 - of a server on loopback that runs for minutes
EQUAL_FILL = 'base = "lite"\ninpainting = "cv2-inpaint"\n'


class Installation:
    """The folders of the measured servers: environments, weights, logs and our server's data.

    folder: contains the virtual environments `rembg` and `iopaint`. python: runs our server. weights:
    the folder of `u2netp.onnx`.
    """

    def __init__(self, folder: Path, python: str, weights: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.python = python
        self.weights = weights

    @contextlib.contextmanager
    def retouch(self, *, equal_fill: bool = False) -> Iterator[Server]:
        """Run this server with tokens, links and a store on disk; its data is removed afterwards."""
        data = self.folder / ("data-equal-fill" if equal_fill else "data")
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
        (data / "weights").symlink_to(self.weights)
        profile = data / "equal.toml"
        profile.write_text(EQUAL_FILL)
        settings = {
            "RETOUCH_PROFILE": str(profile) if equal_fill else "lite",
            "RETOUCH_DATA_DIR": str(data),
            "RETOUCH_PORT": "{port}",
            "RETOUCH_API_TOKENS": f"benchmark:{TOKEN}",
            "RETOUCH_REQUESTS_PER_MINUTE": "0",
            "RETOUCH_MAX_BODY_MB": "256",
            "RETOUCH_MAX_PICTURE_MB": "96",
        }
        command = [self.python, "-m", "server"]
        with self._running("Retouch", command, "/readyz", settings, ROOT) as server:
            yield server
        shutil.rmtree(data, ignore_errors=True)

    def rembg(self) -> AbstractContextManager[Server]:
        """Run rembg's server with the same weights, from a folder."""
        program = str(self.folder / "rembg" / "bin" / "rembg")
        command = [program, "s", "--no-ui", "--host", "127.0.0.1", "--port", "{port}"]
        settings = {"U2NET_HOME": str(self.weights), "MODEL_CHECKSUM_DISABLED": "1"}
        return self._running("rembg", command, "/openapi.json", settings)

    def iopaint(self) -> AbstractContextManager[Server]:
        """Run IOPaint's server with its model that needs no weights."""
        program = str(self.folder / "iopaint" / "bin" / "iopaint")
        command = [program, "start", "--model=cv2", "--device=cpu", "--host=127.0.0.1"]
        command += ["--port={port}", f"--model-dir={self.folder / 'iopaint-models'}"]
        return self._running("IOPaint", command, "/api/v1/model", {"HOME": str(self.folder)})

    def _running(
        self,
        name: str,
        command: list[str],
        ready: str,
        settings: Mapping[str, str],
        folder: Path | None = None,
    ) -> AbstractContextManager[Server]:
        log = self.folder / f"{name}.log"
        place = folder or self.folder
        return running(name, command, ready, log, folder=place, settings=settings)


def ask_retouch(route: str, photo: bytes, **fields: bytes | str) -> Request:
    """Return a request of one of our routes; its result is fetched by its link."""
    return multipart(f"/v1/{route}", {"file": photo, **fields}, TOKEN)


def ask_rembg(photo: bytes) -> Request:
    """Return a request of rembg."""
    return multipart("/api/remove", {"file": photo, "model": "u2netp"})


def ask_iopaint(picture: bytes, mask: bytes) -> Request:
    """Return a request of IOPaint, with the defaults of its web page."""
    fields = {"image": picture, "mask": mask}
    body = json.dumps({name: base64.b64encode(data).decode() for name, data in fields.items()})
    return Request("/api/v1/inpaint", body.encode(), {"Content-Type": "application/json"})

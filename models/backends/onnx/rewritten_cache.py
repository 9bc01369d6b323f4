"""The cache of rewritten networks: a network is rewritten once after its download, not at every start.

The cache files of `net.onnx` are in the same folder: `net.rewritten.onnx`, and `net.rewritten.json`
with checksums of the weights, the code and the network, and the versions of the packages. If one of
these has changed, the network is rewritten again.
"""

import hashlib
import importlib
import json
import logging
import os
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

log = logging.getLogger("retouch.models")


def rewritten_network(weights: Path, module: str = "layout") -> bytes:
    """Return the network in `weights` as `rewritten` of a module of this folder makes it.

    Read it from the cache if it is there and up to date. Else rewrite it, and cache the result if
    the folder is writable. Both files are written atomically, so two processes may do this at the
    same time. module: the name of its file, without the ending.
    """
    file = weights.with_name(f"{weights.stem}.rewritten.onnx")
    stamp = file.with_suffix(".json")
    made_from = _made_from(weights, module)
    network = _read_cache(file, stamp, made_from)
    if network is not None:
        return network
    # Imported here: with a cached network, a start needs neither the time nor the memory for onnx.
    network = bytes(importlib.import_module(f"models.backends.onnx.{module}").rewritten(weights))
    try:
        _write(file, network)
        _write(stamp, json.dumps(made_from | {"sha256": _digest(network)}, indent=1).encode())
    except OSError as error:
        log.info("%s cannot be cached and is made at every start: %s", file, error)
    return network


def any_size_network(weights: Path) -> bytes:
    """Return the network in `weights` for pictures of any size; see `models.backends.onnx.any_size`."""
    return rewritten_network(weights, "any_size")


def _made_from(weights: Path, module: str) -> dict[str, str]:
    """Return the checksums and versions that the result depends on: weights, code and packages."""
    code = Path(__file__).with_name(f"{module}.py")
    return {
        "weights": _digest(weights.read_bytes()),
        "code": _digest(code.read_bytes()),
        "onnx": version("onnx"),
        "onnxruntime": version("onnxruntime"),
    }


def _read_cache(file: Path, stamp: Path, made_from: dict[str, str]) -> bytes | None:
    """Return the cached network; None if it is missing, out of date or damaged."""
    try:
        recorded = json.loads(stamp.read_bytes())
        network = file.read_bytes()
    except (OSError, ValueError, RecursionError):
        return None
    return network if recorded == made_from | {"sha256": _digest(network)} else None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{uuid4().hex}.part")
    try:
        with part.open("xb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)

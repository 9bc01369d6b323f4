"""The rewritten network, kept beside its weights: made once when they are fetched, not at every start.

Beside `net.onnx` lie `net.rewritten.onnx` and `net.rewritten.json`, which says what it was made from, by
which code and packages, and its own SHA-256. Whatever does not fit is made anew.
"""

import hashlib
import json
import logging
import os
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

log = logging.getLogger("retouch.models")


def rewritten_network(weights: Path) -> bytes:
    """Return the network in `weights` as `models.backends.onnx.layout` rewrites it.

    Reads the kept file if it fits. Otherwise rewrites, and keeps the result if the folder can be
    written to. Both files appear whole or not at all; two processes may do this at once.
    """
    file = weights.with_name(f"{weights.stem}.rewritten.onnx")
    stamp = file.with_suffix(".json")
    made_from = _made_from(weights)
    network = _kept(file, stamp, made_from)
    if network is not None:
        return network
    # Imported here: a start that finds the kept file spends neither the time nor the memory on onnx.
    from models.backends.onnx.layout import rewritten

    network = rewritten(weights)
    try:
        _write(file, network)
        _write(stamp, json.dumps(made_from | {"sha256": _digest(network)}, indent=1).encode())
    except OSError as error:
        log.info("%s is not kept, and made at every start: %s", file, error)
    return network


def _made_from(weights: Path) -> dict[str, str]:
    """Return what decides about the result: the weights, the code and the packages that rewrite them."""
    code = Path(__file__).with_name("layout.py")
    return {
        "weights": _digest(weights.read_bytes()),
        "code": _digest(code.read_bytes()),
        "onnx": version("onnx"),
        "onnxruntime": version("onnxruntime"),
    }


def _kept(file: Path, stamp: Path, made_from: dict[str, str]) -> bytes | None:
    """Return the kept network; None where it is missing, stale, or not what its stamp says."""
    try:
        told = json.loads(stamp.read_bytes())
        network = file.read_bytes()
    except (OSError, ValueError, RecursionError):
        return None
    return network if told == made_from | {"sha256": _digest(network)} else None


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

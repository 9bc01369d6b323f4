"""Does with a picture file what the server does before any model: header, pixels, and the same as a mask."""

import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field

from imaging.errors import ImagingError, NothingMarkedError, UnclearMaskError
from imaging.files.decode import decode
from imaging.files.header import probe
from imaging.files.mask import decode_mask

_MAX_PIXELS = 2**20
_MAX_SIDE = 100_000
"""Of `server.http.uploads`."""
_SLOW_S = 3.0
"""Processor seconds that no file of a megapixel may take."""


class UnexpectedError(Exception):
    """A file had an effect that the server's callers would see as a fault."""


@dataclass
class Figures:
    """What became of the files that were tried. slowest: processor seconds, and that file."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, bytes] = (0.0, b"")


def try_file(data: bytes, figures: Figures) -> None:
    """Read a file as the server would; raises UnexpectedError for anything but a picture or a refusal."""
    began = time.process_time()
    figures.outcomes[_outcome(data)] += 1
    seconds = time.process_time() - began
    if seconds > figures.slowest[0]:
        figures.slowest = seconds, data
    if seconds > _SLOW_S:
        raise UnexpectedError(f"it took {seconds:.1f} s of the processor")


def _outcome(data: bytes) -> str:
    try:
        header = probe(data)
        if (
            header.width * header.height > _MAX_PIXELS
            or max(header.width, header.height) > _MAX_SIDE
        ):
            return "too large"
        picture = decode(data)
        if (picture.width, picture.height) != (header.width, header.height):
            raise UnexpectedError("the picture has another size than its header")
        with contextlib.suppress(NothingMarkedError, UnclearMaskError):
            decode_mask(data)
    except ImagingError as error:
        return type(error).__name__
    except UnexpectedError:
        raise
    except BaseException as error:
        raise UnexpectedError(f"{type(error).__name__}: {error}") from error
    return "decoded"

"""Configures libvips for this process, and decodes PNG files with it.

libvips can read dozens of formats. Here only its PNG loader is enabled. JPEG and WebP have other
decoders, and files from the network must not reach the loaders of other formats.
"""

import logging

import numpy as np
import pyvips
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError

pyvips.operation_block_set("VipsForeignLoad", True)
pyvips.operation_block_set("VipsForeignLoadPng", False)
# No cache: each file is decoded once.
pyvips.cache_set_max(0)
# The rows of a PNG can only be decoded in order. The caller decides how many pictures run in parallel.
pyvips.concurrency_set(1)
# It warns about damaged files, but the caller handles those. They do not belong in the log.
logging.getLogger("pyvips").setLevel(logging.CRITICAL)

_OUT_OF_RESOURCES = ("out of memory", "insufficient memory", "error creating thread")
"""Texts of libvips, libpng and GLib for a system at its limit; the file is not to blame then."""


def load_png(
    file: bytes | memoryview, *, keep_16_bits: bool = False
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the samples of a PNG: height x width x channels, uint8.

    Channels are grey, grey and alpha, RGB, or RGBA: palettes become RGB, transparent colours become
    alpha. 16-bit samples are reduced to their upper 8 bits, or returned as uint16 with `keep_16_bits`.
    Checksums are verified. It needs memory for the result and a few rows, twice that for an interlaced
    file. It releases the interpreter lock. Raises DamagedPictureError, and MemoryError if the system
    has no memory or no thread left.
    """
    try:
        image = pyvips.Image.pngload_buffer(file, access="sequential", fail_on="error")
        if image.format == "ushort" and not keep_16_bits:
            image = image.msb()
        samples = image.write_to_memory()
    except pyvips.Error as error:
        if any(text in error.detail.lower() for text in _OUT_OF_RESOURCES):
            raise MemoryError("libvips ran out of memory or threads") from error
        raise DamagedPictureError("PNG") from error
    except UnicodeDecodeError as error:  # a message can contain bytes of the file
        raise DamagedPictureError("PNG") from error
    shape = image.height, image.width, image.bands
    if image.format == "ushort":
        return np.frombuffer(samples, np.uint16).reshape(shape)
    return np.frombuffer(samples, np.uint8).reshape(shape)

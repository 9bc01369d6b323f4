"""Sets libvips up for this process, and decodes PNG files with it.

libvips can read dozens of formats. Here it has its PNG loader alone, whatever a file claims to be: JPEG
and WebP have decoders of their own, and the others are code that a stranger's file must not reach.
"""

import logging

import numpy as np
import pyvips
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError

pyvips.operation_block_set("VipsForeignLoad", True)
pyvips.operation_block_set("VipsForeignLoadPng", False)
# Results are not kept: each file is decoded once.
pyvips.cache_set_max(0)
# Rows of a PNG can only be decoded one after another, and the caller decides how many pictures at once.
pyvips.concurrency_set(1)
# It warns of damaged files, which is the caller's matter and no event for the log.
logging.getLogger("pyvips").setLevel(logging.CRITICAL)


def load_png(
    file: bytes | memoryview, *, keep_16_bits: bool = False
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Decode a PNG to height x width x channels, uint8.

    Channels are grey, grey and alpha, RGB, or RGBA: palettes become RGB, transparent colours alpha. Of
    16-bit samples the upper half is taken, or all of them with `keep_16_bits` (uint16). Checksums
    are compared. Takes the memory of the result and a few rows, twice that for an interlaced file;
    other threads run meanwhile. Raises DamagedPictureError.
    """
    try:
        image = pyvips.Image.pngload_buffer(file, access="sequential", fail_on="error")
        if image.format == "ushort" and not keep_16_bits:
            image = image.msb()
        samples = image.write_to_memory()
    except (pyvips.Error, UnicodeDecodeError) as fault:  # its messages can hold bytes of the file
        raise DamagedPictureError("PNG") from fault
    shape = image.height, image.width, image.bands
    if image.format == "ushort":
        return np.frombuffer(samples, np.uint16).reshape(shape)
    return np.frombuffer(samples, np.uint8).reshape(shape)

"""Reads the orientation from EXIF (CIPA DC-008)."""

import struct

_ORIENTATION_TAG = 0x0112


def orientation(tiff: memoryview) -> int:
    """Return the orientation in the first directory of an EXIF block: 1 (upright) to 8; 1 if unknown."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(tiff[:4]))
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            if tag == _ORIENTATION_TAG:
                (value,) = struct.unpack_from(order + ("H" if kind == 3 else "I"), tiff, entry + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # a picture with damaged EXIF is still usable
        pass
    return 1

"""The picture files of a job: decoding what was sent, and the format and the encoding of results."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import DamagedPictureError, NothingMarkedError, UnclearMaskError
from imaging.files.decode import decode
from imaging.files.encode import MAX_SIDE, encode
from imaging.files.header import EXTENSIONS, Format
from imaging.files.mask import decode_mask
from imaging.masks import check_marked
from imaging.picture import Picture
from server.errors import BadRequestError, map_errors
from server.http.uploads import Encoded
from server.operation import Operation, Preserve, RequestBody

_FORMATS: Mapping[str, Format] = {"png": "PNG", "jpeg": "JPEG", "webp": "WEBP"}


def result_extension(
    result_format: str | None, operation: Operation[Any], body: RequestBody, image: Encoded | None
) -> str:
    """Return the file extension of an operation's result, which decides its format.

    result_format: of the settings, or None. body: validated. image: the input picture; None for a
    picture that is made from words alone.
    """
    if operation.extension is not None:
        return operation.extension
    asked = operation.extension_of(body)
    if image is None:
        return EXTENSIONS[_FORMATS[asked or result_format or "png"]]
    is_opaque = getattr(body, "preserve_alpha", None) is False  # most bodies have such a field
    carries_alpha = operation.preserves is Preserve.ALPHA or (image.probe.alpha and not is_opaque)
    format_: Format = "PNG"
    if asked is not None or result_format is not None:
        format_ = _FORMATS[asked or result_format or "png"]
    elif operation.preserves is Preserve.FORMAT:
        format_ = image.probe.format
    # A pipeline lays the result over white if its caller asks for JPEG.
    if format_ == "JPEG" and carries_alpha and asked is None:
        format_ = "PNG"
    if operation.longest_side(body, image.probe) > MAX_SIDE[format_]:
        format_ = "PNG"
    return EXTENSIONS[format_]


def decode_picture_field(encoded: Encoded) -> Picture:
    """Return a decoded picture of a request; raises BadRequestError with its field if it is damaged."""
    try:
        return decode(encoded.data)
    except DamagedPictureError as error:
        raise BadRequestError(f"{encoded.sent_as}: {error}", encoded.sent_as) from error


def decode_mask_field(encoded: Encoded, image: Picture) -> NDArray[np.uint8]:
    """Return the mask of an image, height x width, uint8: 255 is edited, 0 is kept.

    Raises BadRequestError with its field if it is damaged, marks nothing, is not clearly a mask or has
    another aspect ratio.
    """
    try:
        mask = decode_mask(encoded.data)
        with map_errors(parameter=encoded.sent_as):
            check_marked(mask, image.width, image.height)
    except (DamagedPictureError, NothingMarkedError, UnclearMaskError) as error:
        raise BadRequestError(f"{encoded.sent_as}: {error}", encoded.sent_as) from error
    return mask


def encode_result(result: Picture | bytes, key: str) -> bytes:
    """Return a result as a file in the format of its key's extension; bytes are returned unchanged."""
    if isinstance(result, bytes):
        return result
    return encode(result, _FORMATS[key.rpartition(".")[2]])

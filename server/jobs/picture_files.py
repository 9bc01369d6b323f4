"""The picture files of a job: decoding what was sent, and the format and the encoding of results."""

from collections.abc import Iterator, Mapping
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
from imaging.resize import Size
from models.stages import Stage, stage
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
        with stage(Stage.DECODE):
            return decode(encoded.data)
    except DamagedPictureError as error:
        raise BadRequestError(f"{encoded.sent_as}: {error}", encoded.sent_as) from error


def decode_mask_field(encoded: Encoded, size: Size) -> NDArray[np.uint8]:
    """Return the mask of an image, height x width, uint8: 255 is edited, 0 is kept.

    size: width and height of the image in pixels.

    Raises BadRequestError with its field if it is damaged, marks nothing, is not clearly a mask or has
    another aspect ratio.
    """
    try:
        with stage(Stage.DECODE):
            mask = decode_mask(encoded.data)
        with map_errors(parameter=encoded.sent_as):
            check_marked(mask, *size)
    except (DamagedPictureError, NothingMarkedError, UnclearMaskError) as error:
        raise BadRequestError(f"{encoded.sent_as}: {error}", encoded.sent_as) from error
    return mask


class DecodedMasks(Mapping[str, NDArray[np.uint8]]):
    """The masks of a request by name, as `decode_mask_field` returns them; at most one is in memory.

    A single mask is decoded once. Of several, each is decoded when it is read: sixteen of 67 megapixels are
    a gigabyte. Reading one raises BadRequestError if it is wrong; the first is read at once.

    sent: at least one. image: the picture that they are for.
    """

    def __init__(self, sent: Mapping[str, Encoded], image: Picture) -> None:
        self._sent = sent
        # Not the picture: its pixels must not stay in memory for its size.
        self._size = (image.width, image.height)
        self._last: tuple[str, NDArray[np.uint8]] | None = None
        self[next(iter(sent))]

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        encoded = self._sent[name]
        if self._last is None or self._last[0] != name:
            self._last = None  # the last one leaves memory before the next is decoded
            self._last = (name, decode_mask_field(encoded, self._size))
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._sent)

    def __len__(self) -> int:
        return len(self._sent)


def encode_result(result: Picture | bytes, key: str) -> bytes:
    """Return a result as a file in the format of its key's extension; bytes are returned unchanged."""
    if isinstance(result, bytes):
        return result
    with stage(Stage.ENCODE):
        return encode(result, _FORMATS[key.rpartition(".")[2]])

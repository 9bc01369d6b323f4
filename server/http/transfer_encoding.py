"""Decodes base64 and quoted-printable, in pieces: each holds the interpreter lock for milliseconds."""

import binascii
import io
import string

from python_multipart.decoders import QuotedPrintableDecoder

_TO_STANDARD_ALPHABET = bytes.maketrans(b"-_ ", b"+/+")
"""Converts to standard base64: the URL alphabet, and spaces that form decoding made from plus signs."""
_IGNORED_CHARACTERS = b"\r\n\t="
_ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"+/"
_CHUNK_BYTES = 1 << 20
_PLAIN = frozenset({"", "7bit", "8bit", "binary"})


def decode_base64(text: bytes) -> bytes:
    """Return decoded base64, with or without padding and line breaks; raises ValueError."""
    encoded = text.translate(_TO_STANDARD_ALPHABET, _IGNORED_CHARACTERS)
    if len(encoded) % 4 == 1 or encoded.translate(None, _ALPHABET):
        raise ValueError("not base64")
    encoded += b"=" * (-len(encoded) % 4)
    chunks = range(0, len(encoded), _CHUNK_BYTES)
    return b"".join(binascii.a2b_base64(encoded[at : at + _CHUNK_BYTES]) for at in chunks)


def is_plain(encoding: str) -> bool:
    """Whether a Content-Transfer-Encoding leaves the data as it is (RFC 2045, section 6.2)."""
    return encoding in _PLAIN


def decode_transfer(data: bytes, encoding: str) -> bytes:
    """Return data in its Content-Transfer-Encoding decoded; raises ValueError.

    encoding: in lower case. Other encodings than base64 and quoted-printable are unknown.
    """
    if encoding == "base64":
        return decode_base64(data)
    if encoding != "quoted-printable":
        raise ValueError("an unknown encoding")
    decoded = io.BytesIO()
    decoder = QuotedPrintableDecoder(decoded)
    for at in range(0, len(data), _CHUNK_BYTES):
        decoder.write(data[at : at + _CHUNK_BYTES])
    decoder.finalize()
    return decoded.getvalue()

"""Mutates picture files: their bytes, and the chunks and segments of which they are made."""

import random
import struct
import zlib
from collections.abc import Callable, Sequence

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_PARTS = 2000
_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 65_534, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
"""Numbers at which counts and sizes overflow."""

Mutation = Callable[[bytes, random.Random], bytes]


def mutate(file: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return a file with one to four mutations. others: files from which parts may come."""
    for _ in range(chance.choice((1, 1, 2, 4))):
        mutation = chance.choice(_BYTES if chance.random() < 0.4 else _PARTS)
        if others and chance.random() < 0.1:
            file = _graft(file, chance.choice(others), chance)
        else:
            file = mutation(file, chance)
    return file


def parts_of(file: bytes) -> list[bytes]:
    """Return the signature and the chunks or segments of a file; joined they are the file."""
    if file.startswith(_PNG):
        return _chunks(file, 8, ">I", 12)
    if file[:4] == b"RIFF":
        return _chunks(file, 12, "<I", 8)
    if file[:2] == b"\xff\xd8":
        return _segments(file)
    return [file]


def _chunks(file: bytes, at: int, length: str, overhead: int) -> list[bytes]:
    found = [file[:at]]
    while at + 8 <= len(file) and len(found) < _MAX_PARTS:
        (size,) = struct.unpack_from(length, file, at + (0 if length == ">I" else 4))
        end = min(at + size + overhead + (size % 2 if length == "<I" else 0), len(file))
        found.append(file[at:end])
        at = end
    return [*found, file[at:]] if at < len(file) else found


def _segments(file: bytes) -> list[bytes]:
    found, at = [file[:2]], 2
    while at + 4 <= len(file) and file[at] == 0xFF and len(found) < _MAX_PARTS:
        if file[at + 1] == 0xDA:  # the data of a scan goes on to the next marker
            end = at + 2
            while True:
                end = file.find(b"\xff", end)
                if end < 0 or end + 1 >= len(file):
                    end = len(file)
                    break
                if file[end + 1] and not 0xD0 <= file[end + 1] <= 0xD7:
                    break
                end += 2
        else:
            end = min(at + 2 + max(2, struct.unpack_from(">H", file, at + 2)[0]), len(file))
        found.append(file[at:end])
        at = end
    return [*found, file[at:]] if at < len(file) else found


def _fixed(part: bytes) -> bytes:
    """Return a chunk of a PNG with the right length and checksum, so that more than its frame is tried."""
    body = part[8:-4]
    return (
        struct.pack(">I", len(body)) + part[4:8] + body + struct.pack(">I", zlib.crc32(part[4:-4]))
    )


def _on_part(file: bytes, chance: random.Random, change: Mutation) -> bytes:
    """Return a file with a change in one part, and mostly with a checksum that fits."""
    parts = parts_of(file)
    index = chance.randrange(len(parts))
    is_chunk = file.startswith(_PNG) and index > 0 and len(parts[index]) >= 12
    parts[index] = change(parts[index], chance)
    if is_chunk and len(parts[index]) >= 12 and chance.random() < 0.8:
        parts[index] = _fixed(parts[index])
    return b"".join(parts)


def _flip(file: bytes, chance: random.Random) -> bytes:
    changed = bytearray(file)
    for _ in range(chance.choice((1, 1, 3, 20)) if file else 0):
        changed[chance.randrange(len(file))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(file: bytes, chance: random.Random) -> bytes:
    return file[: chance.randrange(len(file) + 1)]


def _remove(file: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(file) + 1)
    return file[:at] + file[at + chance.choice((1, 2, 4, 100)) :]


def _insert(file: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(file) + 1)
    return file[:at] + chance.randbytes(chance.choice((1, 2, 4, 100))) + file[at:]


def _number(file: bytes, chance: random.Random) -> bytes:
    """Return a file with a number at a limit somewhere, mostly near its start."""
    code = chance.choice(("B", ">H", "<H", ">I", "<I"))
    size = struct.calcsize(code)
    if len(file) < size:
        return file
    last = min(len(file) - size, 60) if chance.random() < 0.7 else len(file) - size
    at = chance.randint(0, last)
    number = chance.choice(_NUMBERS) & (1 << 8 * size) - 1
    return file[:at] + struct.pack(code, number) + file[at + size :]


def _zeros(file: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(file) + 1)
    end = min(len(file), at + chance.choice((4, 64, 1000)))
    return file[:at] + chance.choice((b"\0", b"\xff")) * (end - at) + file[end:]


def _drop_part(file: bytes, chance: random.Random) -> bytes:
    parts = parts_of(file)
    parts.pop(chance.randrange(len(parts)))
    return b"".join(parts)


def _repeat_part(file: bytes, chance: random.Random) -> bytes:
    parts = parts_of(file)
    index = chance.randrange(len(parts))
    parts[index] *= chance.choice((2, 2, 3, 200)) if len(parts[index]) < 1000 else 2
    return b"".join(parts)


def _swap_parts(file: bytes, chance: random.Random) -> bytes:
    parts = parts_of(file)
    one, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    parts[one], parts[other] = parts[other], parts[one]
    return b"".join(parts)


def _rename_part(file: bytes, chance: random.Random) -> bytes:
    """Return a file with another name or marker for a part."""
    parts = parts_of(file)
    index = chance.randrange(len(parts))
    part = parts[index]
    if file.startswith(_PNG) and len(part) >= 12:
        name = chance.choice(
            (b"IDAT", b"PLTE", b"tRNS", b"iCCP", b"eXIf", b"acTL", b"cICP", b"IEND")
        )
        parts[index] = _fixed(part[:4] + name + part[8:])
    elif file[:4] == b"RIFF" and len(part) >= 8:
        name = chance.choice((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANMF", b"ICCP", b"EXIF"))
        parts[index] = name + part[4:]
    elif len(part) >= 4:
        parts[index] = part[:1] + bytes((chance.randint(0xC0, 0xFE),)) + part[2:]
    return b"".join(parts)


def _graft(file: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return a file with a part of another file in it."""
    parts, foreign = parts_of(file), parts_of(other)
    parts.insert(chance.randint(1, len(parts)), chance.choice(foreign))
    return b"".join(parts)


def _within(change: Mutation) -> Mutation:
    """Return a mutation that changes one part of a file."""
    return lambda file, chance: _on_part(file, chance, change)


_BYTES: tuple[Mutation, ...] = (_flip, _cut, _remove, _insert, _number, _zeros)
_PARTS: tuple[Mutation, ...] = (
    *(_within(change) for change in _BYTES),
    _drop_part,
    _repeat_part,
    _swap_parts,
    _rename_part,
)

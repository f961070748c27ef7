"""What lies where in a flash block, read from plain bytes: for the store at boot, and for whoever inspects an image.

All integers big-endian. Block header, 16 bytes: magic "PDFB" 4, number of its opening 4 (rising over the whole flash),
CRC-32 of both 4, released 1, retired 1, unused 2. A block with a header that checks and with ``FF`` in *released* is in
use; anything else is spare, whatever it still holds. *Retired* is ``52`` ("R") where a program could not be read back.

Entries follow without gaps: magic ``5D`` 1, state 1 (``FF``: live, anything else: dead), length of the name 1, part 1
(number from 0, bit 7 set in the last part), length of the value 2, version 4, CRC-32 4 (over length of the name to
version, name and value), name (ASCII), value. What does not check ends the block's entries. The parts of a value have
one version; of two complete versions of a name the higher counts.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

HEADER_BYTES: Final = 16
RELEASED_AT: Final = 12
RETIRED_AT: Final = 13
RETIRED: Final = b"R"
GONE: Final = b"\0"
"""Programmed over the released byte of a block, and over the state of an entry."""
ENTRY_STATE_AT: Final = 1
NAME_BYTES_MAX: Final = 64
PARTS_MAX: Final = 128

_MAGIC: Final = b"PDFB"
_OPENED: Final = struct.Struct(">4sI")
_CHECK: Final = struct.Struct(">I")
_ENTRY_MAGIC: Final = 0x5D
_LIVE: Final = 0xFF
_LAST: Final = 0x80
_ENTRY: Final = struct.Struct(">BBBBHII")
ENTRY_HEAD_BYTES: Final = _ENTRY.size
_CHECKED: Final = slice(2, 10)


class Header(NamedTuple):
    opening: int | None
    """None: the block is not in use."""
    is_retired: bool


class Entry(NamedTuple):
    offset: int
    """Of its first byte in the block; the others too."""
    value_offset: int
    end: int
    name: str
    part: int
    is_last: bool
    version: int
    is_live: bool


def build_header(opening: int) -> bytes:
    """12 bytes; released and retired stay unprogrammed."""
    head = _OPENED.pack(_MAGIC, opening)
    return head + _CHECK.pack(zlib.crc32(head))


def read_header(block: bytes) -> Header:
    """Of a block, or of its first `HEADER_BYTES` bytes."""
    magic, opening = _OPENED.unpack_from(block)
    check = _CHECK.unpack_from(block, _OPENED.size)[0]
    in_use = magic == _MAGIC and block[RELEASED_AT] == 0xFF and check == zlib.crc32(block[: _OPENED.size])
    return Header(opening if in_use else None, block[RETIRED_AT] == RETIRED[0])


def entry_bytes(name: str, value_bytes: int) -> int:
    return ENTRY_HEAD_BYTES + len(name) + value_bytes


def lengths(head: bytes) -> tuple[int, int]:
    """Of name and value, from the `ENTRY_HEAD_BYTES` bytes before them."""
    _, _, name_bytes, _, value_bytes, _, _ = _ENTRY.unpack(head)
    return name_bytes, value_bytes


def is_live(head: bytes) -> bool:
    return head[ENTRY_STATE_AT] == _LIVE


def build_entry(name: str, value: bytes, part: int, version: int, *, is_last: bool) -> bytes:
    encoded = name.encode("ascii")
    assert 0 < len(encoded) <= NAME_BYTES_MAX and part < PARTS_MAX
    flagged = part | (_LAST if is_last else 0)
    head = bytearray(_ENTRY.pack(_ENTRY_MAGIC, _LIVE, len(encoded), flagged, len(value), version, 0))
    check = zlib.crc32(value, zlib.crc32(encoded, zlib.crc32(head[_CHECKED])))
    head[-_CHECK.size :] = _CHECK.pack(check)
    return bytes(head) + encoded + value


def read_entries(block: bytes) -> Iterator[Entry]:
    """The entries of a block, up to what is not written or does not check."""
    offset = HEADER_BYTES
    while (entry := read_entry(block, offset)) is not None:
        yield entry
        offset = entry.end


def read_entry(block: bytes, offset: int) -> Entry | None:
    if offset + ENTRY_HEAD_BYTES > len(block):
        return None
    magic, state, name_bytes, flagged, value_bytes, version, check = _ENTRY.unpack_from(block, offset)
    name_at = offset + ENTRY_HEAD_BYTES
    value_at = name_at + name_bytes
    end = value_at + value_bytes
    if magic != _ENTRY_MAGIC or end > len(block):
        return None
    checked = block[offset + _CHECKED.start : offset + _CHECKED.stop]
    if check != zlib.crc32(block[name_at:end], zlib.crc32(checked)):
        return None
    name = block[name_at:value_at].decode("ascii", "replace")
    part, is_last = flagged & ~_LAST, flagged >= _LAST
    return Entry(offset, value_at, end, name, part, is_last, version, state == _LIVE)

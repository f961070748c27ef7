"""The body of an ACK frame: what came, what is missing, and how much more is welcome.

Layout (big-endian): next expected stream offset 4 (modulo 2**32), window 2, highest frame number seen 2 (65535
before the first), then a bitmap of missing numbers of 0 to 16 bytes: bit k (least significant first) of byte j stands
for number ``highest - 1 - (8 j + k)`` and is 1 when that number never came. Zero bytes at the end are left out, so on a
clean line the body has 8 bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import construct

from .errors import FrameError
from .limits import STREAM_WINDOW_BYTES_MAX

NUMBERS_MAPPED: Final = 128
"""At most so many numbers may be unacknowledged, so that one ACK settles all of them."""

ACKNOWLEDGEMENT_LAYOUT: Final = construct.Struct(
    "next_offset" / construct.Int32ub,
    "window_bytes" / construct.Int16ub,
    "highest" / construct.Int16ub,
)
_FIXED: Final = struct.Struct(
    ">" + "".join(field.subcon.fmtstr[1:] for field in ACKNOWLEDGEMENT_LAYOUT.subcons)
)
_BODY_BYTES_MAX: Final = _FIXED.size + NUMBERS_MAPPED // 8


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    next_offset: int
    """0 to 2**32-1: every byte before it came."""
    window_bytes: int
    """0 to 32768: bytes from ``next_offset`` on that the receiver has room for."""
    highest: int
    """0 to 65535."""
    missing: int = 0
    """128 bits; bit n stands for number ``highest - 1 - n``."""

    def encode(self) -> bytes:
        """8 to 24 bytes."""
        bitmap = self.missing.to_bytes((self.missing.bit_length() + 7) // 8, "little")
        return _FIXED.pack(self.next_offset, self.window_bytes, self.highest) + bitmap

    @classmethod
    def decode(cls, body: bytes) -> Acknowledgement:
        """`FrameError` unless re-encoding gives the same bytes."""
        if not _FIXED.size <= len(body) <= _BODY_BYTES_MAX:
            raise FrameError(f"ACK of {len(body)} bytes; {_FIXED.size} to {_BODY_BYTES_MAX}")
        next_offset, window_bytes, highest = _FIXED.unpack_from(body)
        bitmap = body[_FIXED.size :]
        if window_bytes > STREAM_WINDOW_BYTES_MAX or bitmap.endswith(b"\0"):
            raise FrameError("ACK is malformed")
        return cls(next_offset, window_bytes, highest, int.from_bytes(bitmap, "little"))

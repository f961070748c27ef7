"""Frames: bytes on a line that loses, flips and invents bytes; knows nothing of what a frame means.

    sync 0xA7 1 | kind 4 bits, body length 12 bits | number 2 | offset 2 | header check 1 | body 0..4095 | CRC-32 4

Big-endian, twelve bytes around the body. The header check is CRC-8/AUTOSAR (polynomial 0x2F) over the seven bytes
before it: Hamming distance 4 at this length, so a length is followed only when it is very probably one. The CRC-32
is that of ITU-T V.42 over header and body. For every kind but the two of the greeting it goes on from the
connection's id, as ``zlib.crc32(data, connection_id)``: for given bytes each id has its own CRC, so a frame of another
connection never checks.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import construct

from .limits import FRAME_BODY_BYTES_MAX
from .repair import mended

SYNC: Final = 0xA7
"""Neither ASCII nor a repetition of itself when shifted: chatter of modem tools and idle lines rarely hold it."""

HEADER_LAYOUT: Final = construct.Struct(
    "sync" / construct.Int8ub,
    "kind_and_length" / construct.Int16ub,
    "number" / construct.Int16ub,
    "offset" / construct.Int16ub,
    "header_check" / construct.Int8ub,
)
_HEADER: Final = struct.Struct(">" + "".join(field.subcon.fmtstr[1:] for field in HEADER_LAYOUT.subcons))
"""The layout above, precompiled: a header is looked at once per sync byte, in garbage too."""

HEADER_BYTES: Final = _HEADER.size
CHECK_BYTES: Final = 4
FRAME_OVERHEAD_BYTES: Final = HEADER_BYTES + CHECK_BYTES


class FrameKind(IntEnum):
    """Wire values. A header with any other value is no header."""

    HELLO = 1
    WELCOME = 2
    DATA = 3
    ACK = 4
    CLOSE = 5
    TEST = 6
    """A pattern that proves a raised speed."""
    SPEED = 7
    """Proposal and acceptance of a speed."""


_KINDS: Final = {kind.value: kind for kind in FrameKind}
UNSEEDED_KINDS: Final = frozenset({FrameKind.HELLO, FrameKind.WELCOME})
"""The greeting makes the connection id known, so it cannot be checked by it."""


@dataclass(frozen=True, slots=True)
class Frame:
    kind: FrameKind
    number: int
    """0 to 65535."""
    offset: int
    """Stream offset modulo 65536."""
    body: bytes = b""
    """0 to 4095 bytes."""

    def __repr__(self) -> str:
        return f"Frame({self.kind.name}, number={self.number}, offset={self.offset}, {len(self.body)} bytes)"


def encode_frame(frame: Frame, connection_id: int) -> bytes:
    """The frame as it goes on the line: ``len(body) + 12`` bytes.

    >>> encode_frame(Frame(FrameKind.DATA, 1, 2, b"abc"), 0x01020304).hex(" ")
    'a7 30 03 00 01 00 02 83 61 62 63 b2 33 99 92'
    """
    if len(frame.body) > FRAME_BODY_BYTES_MAX:
        raise ValueError(f"frame body of {len(frame.body)} bytes; at most {FRAME_BODY_BYTES_MAX}")
    head = _HEADER.pack(SYNC, frame.kind << 12 | len(frame.body), frame.number, frame.offset, 0)[:-1]
    checked = head + bytes((header_check(head),)) + frame.body
    return checked + _check(frame.kind, checked, connection_id).to_bytes(CHECK_BYTES, "big")


class FrameDecoder:
    """Finds the good frames in a stream of bytes.

    After a bad header or a bad CRC the search goes on one byte behind the failed sync byte: nothing good is lost behind
    or inside garbage. Once `next_frame` has returned None, less than one frame of the largest allowed size is held.
    """

    def __init__(self, body_bytes_max: int = FRAME_BODY_BYTES_MAX) -> None:
        self.connection_id = 0
        """May change between two frames."""
        self.mends_data = False
        """Whether a DATA frame with one flipped bit is mended: only where a channel checks what it carries."""
        self._mended = 0
        self._body_bytes_max = body_bytes_max
        self._buffer = bytearray()
        self._needed_bytes = HEADER_BYTES
        self._bad = 0

    @property
    def bad_frames(self) -> int:
        """How many headers with a good check were followed by a bad CRC, or were given up."""
        return self._bad

    @property
    def mended_frames(self) -> int:
        return self._mended

    @property
    def is_waiting(self) -> bool:
        """Whether an incomplete candidate is held: the rest of it, or `give_up`, is awaited."""
        return bool(self._buffer)

    def receive(self, data: bytes) -> None:
        """Takes what came from the line; call `next_frame` until it gives None before the next `receive`."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """The next good frame, or None when more bytes are needed."""
        while self._has_candidate():
            frame = self._read_frame()
            self._drop(1 if frame is None else self._needed_bytes)
            if frame is not None:
                return frame
            self._bad += 1
        return None

    def give_up(self) -> None:
        """Abandons the incomplete candidate; `next_frame` then searches behind its sync byte.

        For a line that fell quiet: a header made of noise may ask for 4 KiB, and good frames behind it must not wait.
        """
        if self._needed_bytes > HEADER_BYTES:
            self._bad += 1
        self._drop(1)

    def _has_candidate(self) -> bool:
        if self._needed_bytes == HEADER_BYTES and not self._find_header():
            return False
        return len(self._buffer) >= self._needed_bytes

    def _find_header(self) -> bool:
        """Moves the buffer's start to the next header with a good check and notes the size of its frame."""
        buffer = self._buffer
        while (start := buffer.find(SYNC)) >= 0:
            del buffer[:start]
            if len(buffer) < HEADER_BYTES:
                return False
            _, kind_and_length, _, _, check = _HEADER.unpack_from(buffer)
            body_bytes = kind_and_length & 0xFFF
            known = kind_and_length >> 12 in _KINDS and body_bytes <= self._body_bytes_max
            if known and check == header_check(buffer[: HEADER_BYTES - 1]):
                self._needed_bytes = FRAME_OVERHEAD_BYTES + body_bytes
                return True
            del buffer[:1]
        buffer.clear()
        return False

    def _read_frame(self) -> Frame | None:
        data = bytes(self._buffer[: self._needed_bytes])
        _, kind_and_length, number, offset, _ = _HEADER.unpack_from(data)
        kind = _KINDS[kind_and_length >> 12]
        check = _check(kind, data[:-CHECK_BYTES], self.connection_id)
        difference = check ^ int.from_bytes(data[-CHECK_BYTES:], "big")
        body: bytes | None = data[HEADER_BYTES:-CHECK_BYTES]
        if difference:
            body = self._mended_body(kind, data[HEADER_BYTES:-CHECK_BYTES], difference)
        return None if body is None else Frame(kind, number, offset, body)

    def _mended_body(self, kind: FrameKind, body: bytes, difference: int) -> bytes | None:
        """The header has a check of its own, which fits: a flip there is none."""
        found = mended(body, difference) if self.mends_data and kind is FrameKind.DATA else None
        self._mended += found is not None
        return found

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self._needed_bytes = HEADER_BYTES


def header_check(head: bytes | bytearray) -> int:
    """CRC-8/AUTOSAR.

    >>> hex(header_check(b"123456789"))
    '0xdf'
    """
    register = 0xFF
    for byte in head:
        register = _CRC8[register ^ byte]
    return register ^ 0xFF


def _crc8_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1) ^ (0x12F if byte & 0x80 else 0)
    return byte


_CRC8: Final = bytes(_crc8_of(byte) for byte in range(256))


def _check(kind: FrameKind, checked: bytes, connection_id: int) -> int:
    return zlib.crc32(checked, 0 if kind in UNSEEDED_KINDS else connection_id)

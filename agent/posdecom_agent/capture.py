"""A capture of what went over the line, for Wireshark: pcapng, one packet a frame, times and directions with it.

Two interfaces in one file. ``line`` (link type USER0) holds the bytes of the line, cut at the good frames; what lies
between two of them, noise and damaged frames, is a packet of its own. ``messages`` (USER1) holds what the frames of a
channel carried, because nobody else can open it: type and length as they were, contents as zeros. On a connection
in the clear that could carry records the frames' bodies are zeros too, with a CRC that fits and a comment that says so.
The dissector stands in ``protocol/wireshark/posdecom.lua``.

pcapng: IETF draft-ietf-opsawg-pcapng, sections 4.1 (section), 4.2 (interface), 4.3 (enhanced packet).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from posdecom_protocol.errors import FrameError
from posdecom_protocol.frames import (
    FRAME_OVERHEAD_BYTES,
    UNSEEDED_KINDS,
    Frame,
    FrameDecoder,
    FrameKind,
    encode_frame,
)
from posdecom_protocol.greeting import Hello, Service
from posdecom_protocol.limits import FRAME_BODY_BYTES_MAX
from posdecom_protocol.messages import Message, encode

from .ports import Port

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_COMMENT, _NAME, _APPLICATION, _FLAGS, _TIME_UNIT = 1, 2, 4, 2, 9
_NANOSECONDS: Final = 9
_BYTE_ORDER: Final = 0x1A2B3C4D
_LINK_TYPES: Final = (("line", 147), ("messages", 148))

FRAME_BYTES_MAX: Final = FRAME_BODY_BYTES_MAX + FRAME_OVERHEAD_BYTES
NOISE_BYTES_MAX: Final = 16 * 1024
"""Noise is written once there is so much of it: a line that carries no frame at all costs no memory."""

_SHOWN: Final = frozenset({Service.IDENTIFY, Service.CHANNEL, Service.PROOFS})
"""Greetings and documents, which hold no account data, and ciphertext. Bodies of any other service are left out."""

REDACTED: Final = "contents left out, as zeros"


class Direction(IntEnum):
    """As the two lowest bits of a packet's flags: seen from the laptop."""

    FROM_TERMINAL = 1
    TO_TERMINAL = 2


@dataclass(frozen=True, slots=True)
class _Packet:
    data: bytes
    comment: str | None = None


class _Cutter:
    """Cuts one direction of the line into frames and what is between them."""

    def __init__(self) -> None:
        self.decoder = FrameDecoder()
        self._bytes = bytearray()

    def receive(self, data: bytes) -> Iterator[bytes | Frame]:
        """Each good frame as a `Frame`, everything else as bytes. The connection id may change between two."""
        self._bytes += data
        self.decoder.receive(data)
        while (frame := self.decoder.next_frame()) is not None:
            found = _on_line(frame, self.decoder.connection_id)
            at = self._bytes.index(found)
            if at:
                yield bytes(self._bytes[:at])
            del self._bytes[: at + len(found)]
            yield frame
        spare = len(self._bytes) - (FRAME_BYTES_MAX if self.decoder.is_waiting else 0)
        if spare > (NOISE_BYTES_MAX if self.decoder.is_waiting else 0):
            yield bytes(self._bytes[:spare])
            del self._bytes[:spare]

    def rest(self) -> Iterator[bytes | Frame]:
        """What is held back for more to come, when nothing more comes."""
        while self.decoder.is_waiting:
            self.decoder.give_up()
            yield from self.receive(b"")


class Capture:
    """Writes as it comes; a file that cannot be written ends the capture and not the job: see `failed`."""

    def __init__(self, file: BinaryIO, application: str) -> None:
        self._file = file
        self._cutters = {direction: _Cutter() for direction in Direction}
        self._service, self._connection_id = Service.IDENTIFY, 0
        self._hides_noise = False
        """Since a connection that could carry records: pieces of its frames may come long after it."""
        self._last = 0.0
        self.failed: OSError | None = None
        """Why the capture is not whole."""
        self._write(_section(application) + b"".join(_interface(*each) for each in _LINK_TYPES))

    def line(self, direction: Direction, data: bytes, now: float) -> None:
        """``data`` went over the line at ``now``."""
        self._last = now
        self._pieces(direction, self._cutters[direction].receive(data), now)

    def message(self, direction: Direction, message: Message, now: float) -> None:
        """``message`` was sent, or arrived, in the channel."""
        self._packet(1, direction, _Packet(encode(without_contents(message)), REDACTED), now)

    def close(self) -> None:
        """Write what was held back, with the time of the last byte."""
        for direction, cutter in self._cutters.items():
            self._pieces(direction, cutter.rest(), self._last)
        try:
            self._file.close()
        except OSError as error:
            self.failed = self.failed or error

    # --- private -----------------------------------------------------------------------------------

    def _pieces(self, direction: Direction, pieces: Iterator[bytes | Frame], now: float) -> None:
        for piece in pieces:
            ours = direction is Direction.TO_TERMINAL  # only the laptop greets
            if ours and isinstance(piece, Frame) and piece.kind is FrameKind.HELLO:
                self._greet(piece)
            self._packet(0, direction, self._shown(piece), now)

    def _greet(self, frame: Frame) -> None:
        try:
            hello = Hello.decode(frame.body)
        except FrameError:
            return
        self._service, self._connection_id = hello.service, hello.connection_id
        self._hides_noise = self._hides_noise or hello.service not in _SHOWN
        for cutter in self._cutters.values():
            cutter.decoder.connection_id = hello.connection_id

    def _shown(self, piece: bytes | Frame) -> _Packet:
        if isinstance(piece, bytes):
            return _Packet(bytes(len(piece)), REDACTED) if self._hides_noise else _Packet(piece)
        if self._service in _SHOWN or piece.kind is not FrameKind.DATA:
            return _Packet(_on_line(piece, self._connection_id))
        return _Packet(_on_line(replace(piece, body=bytes(len(piece.body))), self._connection_id), REDACTED)

    def _packet(self, interface: int, direction: Direction, packet: _Packet, now: float) -> None:
        time_ns = int(now * 1e9)
        head = struct.pack("<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, *[len(packet.data)] * 2)
        options = _option(_FLAGS, struct.pack("<I", direction))
        if packet.comment is not None:
            options = _option(_COMMENT, packet.comment.encode()) + options
        self._write(_block(_PACKET, head + _padded(packet.data) + options + _option(0, b"")))

    def _write(self, data: bytes) -> None:
        if self.failed is not None:
            return
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            self.failed = error


@dataclass(frozen=True, slots=True)
class CapturedPort:
    """A port whose traffic is captured."""

    port: Port
    capture: Capture
    now: Callable[[], float]

    def read(self, timeout_s: float) -> bytes:
        data = self.port.read(timeout_s)
        if data:
            self.capture.line(Direction.FROM_TERMINAL, data, self.now())
        return data

    def write(self, data: bytes) -> int:
        taken = self.port.write(data)
        if taken:
            self.capture.line(Direction.TO_TERMINAL, data[:taken], self.now())
        return taken

    def set_speed(self, baud: int) -> None:
        self.port.set_speed(baud)

    def fileno(self) -> int | None:
        return self.port.fileno()

    def close(self) -> None:
        self.port.close()


def open_capture(path: Path, application: str) -> Capture:
    """A new capture at ``path``, readable by its owner only. `OSError` where there is a file already or none can be."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return Capture(os.fdopen(descriptor, "wb"), application)


def without_contents(message: Message) -> Message:
    """``message`` with every run of bytes in it replaced by as many zeros."""
    return replace(message, **{field.name: _zeros(getattr(message, field.name)) for field in fields(message)})


def _zeros(value: Any) -> Any:
    match value:
        case bytes():
            return bytes(len(value))
        case tuple():
            return tuple(_zeros(member) for member in value)
        case _:
            return value


def _on_line(frame: Frame, connection_id: int) -> bytes:
    return encode_frame(frame, 0 if frame.kind in UNSEEDED_KINDS else connection_id)


# --- pcapng blocks -------------------------------------------------------------------------------


def _section(application: str) -> bytes:
    body = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1)
    return _block(_SECTION, body + _option(_APPLICATION, application.encode()) + _option(0, b""))


def _interface(name: str, link_type: int) -> bytes:
    options = _option(_NAME, name.encode()) + _option(_TIME_UNIT, bytes((_NANOSECONDS,))) + _option(0, b"")
    return _block(_INTERFACE, struct.pack("<HHI", link_type, 0, 0) + options)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)

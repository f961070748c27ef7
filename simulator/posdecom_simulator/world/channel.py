"""A channel without cryptography, for runs by the thousand: the flights and overheads of TLS 1.3, in the clear.

Same contract as `posdecom_protocol.channel.TlsChannel`, same lengths on the line (three flights with Ed25519
certificates, 22 bytes a record), no randomness. It proves nothing to anybody: the world hands in who the peer is, and
only the dates of that are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from functools import cache
from typing import Final

from posdecom_protocol.certificates import Signer
from posdecom_protocol.channel import ChannelEvent, Ended, Failed, Plain, Secured
from posdecom_protocol.errors import LocalError

CLIENT_HELLO_BYTES: Final = 237
SERVER_FLIGHT_BYTES: Final = 975
CLIENT_FLIGHT_BYTES: Final = 742
RECORD_BYTES_MAX: Final = 16 * 1024
HEAD_BYTES: Final = 5
TAIL_BYTES: Final = 17
_DATA: Final = b"\x17\x03\x03"
_END: Final = b"\x15\x03\x03"
_TAIL: Final = bytes(TAIL_BYTES)


class _State(Enum):
    HANDSHAKE = auto()
    SECURED = auto()
    OVER = auto()


class StubChannel:
    """One session. ``peer``: who the other end will be said to be; ``tap`` sees all that is said at this end."""

    def __init__(
        self,
        peer: Signer,
        *,
        server_side: bool,
        floor_at: float | None = None,
        tap: Callable[[bytes], None] = lambda _: None,
    ) -> None:
        self._peer = peer
        self._server_side = server_side
        self._floor_at = floor_at
        self._tap = tap
        self._state = _State.HANDSHAKE
        self._incoming = bytearray()
        self._outgoing = bytearray(b"" if server_side else _flight(CLIENT_HELLO_BYTES))
        self._awaited = [CLIENT_HELLO_BYTES, CLIENT_FLIGHT_BYTES] if server_side else [SERVER_FLIGHT_BYTES]
        self._events: list[ChannelEvent] = []

    def receive(self, data: bytes, now: float) -> None:
        if self._state is _State.OVER:
            return
        self._incoming += data
        while self._state is _State.HANDSHAKE and len(self._incoming) >= self._awaited[0]:
            self._flight_arrived(now)
        if self._state is _State.SECURED:
            self._read()

    def receive_end(self) -> None:
        if self._state is not _State.OVER:
            self._over(Failed("the line ended inside the session"))

    def send(self, data: bytes) -> None:
        if self._state is _State.HANDSHAKE:
            raise LocalError("nothing may be sent before the channel is secured")
        if self._state is _State.SECURED:
            self._tap(data)
            for start in range(0, len(data), RECORD_BYTES_MAX):
                self._outgoing += _record(_DATA, data[start : start + RECORD_BYTES_MAX])

    def close(self) -> None:
        if self._state is _State.SECURED:
            self._outgoing += _record(_END, b"")
        self._state = _State.OVER

    def bytes_to_send(self) -> bytes:
        data = bytes(self._outgoing)
        self._outgoing.clear()
        return data

    def events(self) -> list[ChannelEvent]:
        events, self._events = self._events, []
        return events

    # --- private

    def _flight_arrived(self, now: float) -> None:
        length = self._awaited.pop(0)
        flight = self._incoming[:length]
        del self._incoming[:length]
        if flight != _flight(length):
            self._over(Failed("the handshake is damaged"))
            return
        if self._server_side and self._awaited:
            self._outgoing += _flight(SERVER_FLIGHT_BYTES)
            return
        if not self._is_valid(now):
            self._over(Failed("the peer's certificate is not valid now"))
            return
        if not self._server_side:
            self._outgoing += _flight(CLIENT_FLIGHT_BYTES)
        self._state = _State.SECURED
        self._events.append(Secured(self._peer))

    def _is_valid(self, now: float) -> bool:
        if self._floor_at is not None:
            return self._peer.not_after >= self._floor_at
        return self._peer.not_before <= now <= self._peer.not_after

    def _read(self) -> None:
        while len(self._incoming) >= HEAD_BYTES:
            kind, length = bytes(self._incoming[:3]), int.from_bytes(self._incoming[3:HEAD_BYTES], "big")
            if len(self._incoming) < HEAD_BYTES + length:
                return
            record = bytes(self._incoming[HEAD_BYTES : HEAD_BYTES + length])
            del self._incoming[: HEAD_BYTES + length]
            if kind == _END:
                self._over(Ended())
                return
            if kind != _DATA or not record.endswith(_TAIL):
                self._over(Failed("a record is damaged"))
                return
            self._events.append(Plain(record[:-TAIL_BYTES]))

    def _over(self, event: Ended | Failed) -> None:
        self._state = _State.OVER
        self._events.append(event)


@cache
def _flight(length: int) -> bytes:
    return bytes(index & 0xFF for index in range(length))


def _record(kind: bytes, data: bytes) -> bytes:
    return kind + (len(data) + TAIL_BYTES).to_bytes(2, "big") + data + _TAIL

"""Channels that are none: bytes as they come, in the clear or instead of a handshake."""

from __future__ import annotations

from dataclasses import dataclass, field

from posdecom_protocol.channel import ChannelEvent, Plain, Secured

from ..scene import site


@dataclass
class Bare:
    """In the clear. ``outgoing`` waits to be sent, as does whatever is said later."""

    outgoing: bytearray = field(default_factory=bytearray)
    pending: list[ChannelEvent] = field(default_factory=lambda: [Secured(site().terminal_peer)])

    def receive(self, data: bytes, now: float) -> None:
        self.pending.append(Plain(data))

    def receive_end(self) -> None:
        """Nothing to tell."""

    def send(self, data: bytes) -> None:
        self.outgoing += data

    def close(self) -> None:
        """Nobody to tell."""

    def bytes_to_send(self) -> bytes:
        data = bytes(self.outgoing)
        self.outgoing.clear()
        return data

    def events(self) -> list[ChannelEvent]:
        events, self.pending = self.pending, []
        return events


@dataclass
class NoHandshake(Bare):
    """``outgoing`` is all that the other end ever gets to see of a channel."""

    pending: list[ChannelEvent] = field(default_factory=list)

    def receive(self, data: bytes, now: float) -> None:
        """Nobody listens."""

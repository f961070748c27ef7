"""A link as an end of the virtual line: what it still has to say, and what it heard."""

from __future__ import annotations

from dataclasses import dataclass, field

from posdecom_protocol.link import Link
from posdecom_protocol.link_events import LinkEvent, Received


@dataclass
class LinkEnd:
    link: Link
    to_say: bytearray = field(default_factory=bytearray)
    heard: bytearray = field(default_factory=bytearray)
    events: list[LinkEvent] = field(default_factory=list)

    def turn(self, now: float) -> bytes:
        """What a driver does after every wake-up."""
        self.link.tick(now)
        for event in self.link.events():
            if isinstance(event, Received):
                self.heard += event.data
            else:
                self.events.append(event)
        piece = bytes(self.to_say[: self.link.room()])
        self.link.send(piece)
        del self.to_say[: len(piece)]
        return self.link.bytes_to_send(now)

    def receive(self, data: bytes, now: float) -> None:
        self.link.receive(data, now)

    def deadline(self) -> float | None:
        return self.link.deadline()

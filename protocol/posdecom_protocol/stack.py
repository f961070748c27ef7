"""Link, channel and messages as one value: bytes of the line in, messages out, and back.

Both ends use it. ``channel_for`` decides at the greeting what protects the stream: a channel, or None for proofs in
the clear. An acceptor's stack outlives its connections: after `Lost` it listens on. An initiator's is good for one.

Keep the turn of a driver (see `link`): ``receive`` or ``tick``, ``events``, ``send`` while `is_ready`, write
``bytes_to_send``, sleep until ``deadline``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .certificates import Signer
from .channel import Channel, Ended, Failed, Plain, Secured
from .errors import LocalError, MessageError
from .greeting import Hello, Welcome
from .link import Link
from .link_events import Closed, CloseReason, Connected, LinkState, Received
from .messages import Message, Reader, encode


@dataclass(frozen=True, slots=True)
class Greeted:
    """A connection began; this is what the other end says of itself in the clear."""

    greeting: Welcome | Hello


@dataclass(frozen=True, slots=True)
class Opened:
    """Messages may be sent. ``peer`` is who the channel says the other end is, None without a channel."""

    peer: Signer | None


@dataclass(frozen=True, slots=True)
class Arrived:
    message: Message


@dataclass(frozen=True, slots=True)
class LinkOver:
    """The connection ended below the channel."""

    reason: CloseReason


@dataclass(frozen=True, slots=True)
class ChannelOver:
    """TLS, the peer's identity or its messages ended the session; ``reason`` is for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The session is over; whatever was not answered may or may not have happened."""

    cause: LinkOver | ChannelOver


StackEvent: TypeAlias = Greeted | Opened | Arrived | Lost
ChannelFor: TypeAlias = Callable[[Welcome | Hello], Channel | None]


class Stack:
    """One end of the line, from bytes to messages."""

    def __init__(self, link: Link, channel_for: ChannelFor) -> None:
        self._link = link
        self._channel_for = channel_for
        self._channel: Channel | None = None
        self._reader = Reader()
        self._outgoing = bytearray()
        self._events: list[StackEvent] = []
        self._is_open = False
        self._is_closing = False

    # --- in ----------------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes from the line."""
        self._link.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        """Run every timer that is due."""
        self._link.tick(now)
        self._turn(now)

    def send(self, message: Message) -> None:
        """Queue ``message``; `LocalError` unless `is_ready`."""
        if not self.is_ready:
            raise LocalError("the stack is not ready for a message")
        data = encode(message)
        if self._channel is None:
            self._outgoing += data
        else:
            self._channel.send(data)
            self._outgoing += self._channel.bytes_to_send()

    def close(self, now: float) -> None:
        """End the session in good order; `Lost` tells when it is over."""
        if self._channel is not None:
            self._channel.close()
        self._is_closing = True
        self._pump(now)

    # --- out -----------------------------------------------------------------------------------------

    def events(self) -> list[StackEvent]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        """What must go on the line now; see `Link.bytes_to_send`."""
        self._pump(now)
        return self._link.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        """When to call `tick` and `bytes_to_send` at the latest; in the past means now."""
        return self._link.deadline()

    @property
    def is_ready(self) -> bool:
        """Open, and everything sent so far was taken by the link: a sender who waits for it holds one message."""
        return self._is_open and not self._is_closing and not self._outgoing

    @property
    def is_drained(self) -> bool:
        """Everything that was sent has arrived at the peer."""
        return not self._outgoing and self._link.is_drained

    @property
    def link(self) -> Link:
        """For its counters."""
        return self._link

    # --- private -------------------------------------------------------------------------------------

    def _turn(self, now: float) -> None:
        for event in self._link.events():
            match event:
                case Connected(greeting):
                    self._begin(greeting)
                case Received(data):
                    self._take(data, now)
                case Closed(reason):
                    self._end(LinkOver(reason))
        self._pump(now)

    def _begin(self, greeting: Welcome | Hello) -> None:
        self._reader = Reader()
        self._outgoing.clear()
        self._is_closing = False
        self._channel = self._channel_for(greeting)
        self._events.append(Greeted(greeting))
        if self._channel is None:
            self._is_open = True
            self._events.append(Opened(None))

    def _take(self, data: bytes, now: float) -> None:
        if self._channel is None:
            self._read(data, now)
            return
        self._channel.receive(data, now)
        for event in self._channel.events():
            match event:
                case Secured(peer):
                    self._is_open = True
                    self._events.append(Opened(peer))
                case Plain(plain):
                    self._read(plain, now)
                case Ended():
                    self._fail("the peer ended the channel", now)
                case Failed(reason):
                    self._fail(reason, now)

    def _read(self, data: bytes, now: float) -> None:
        if not self._is_open:
            return
        try:
            for message in self._reader.receive(data):
                self._events.append(Arrived(message))
        except MessageError as error:
            self._fail(str(error), now)

    def _fail(self, reason: str, now: float) -> None:
        """The session is dead for the application at once; the link still carries what TLS has to say."""
        if not self._is_closing:
            self._is_open = False
            self._events.append(Lost(ChannelOver(reason)))
            self.close(now)

    def _end(self, cause: LinkOver) -> None:
        told = not self._is_open and self._is_closing
        self._is_open = self._is_closing = False
        self._channel = None
        self._outgoing.clear()
        if not told:
            self._events.append(Lost(cause))

    def _pump(self, now: float) -> None:
        if self._channel is not None:
            self._outgoing += self._channel.bytes_to_send()
        room = min(self._link.room(), len(self._outgoing))
        if room:
            self._link.send(bytes(self._outgoing[:room]))
            del self._outgoing[:room]
        if self._is_closing and not self._outgoing and self._link.state is LinkState.OPEN:
            self._link.close(now)

"""Link, channel and messages as one value: bytes of the line in, messages out, and back.

Both ends use it. ``channel_for`` decides at the greeting what protects the stream: a channel, or None for proofs in
the clear. An acceptor's stack outlives its connections: after `Lost` it listens on. An initiator's is good for one.
Every session ends with exactly one `Lost`, whoever ended it, and nothing of it arrives after that.

Keep the turn of a driver (see `link`): ``receive`` or ``tick``, ``events``, ``send`` while `is_ready`, write
``bytes_to_send``, sleep until ``deadline``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias, assert_never

from .certificates import Signer
from .channel import Channel, Ended, Failed, Plain, Secured
from .errors import LocalError, MessageError
from .greeting import Hello, Welcome
from .link import Link
from .link_events import Closed, CloseReason, Connected, LinkState, Received
from .messages import Message, Reader, encode
from .wording import N_


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
    """The connection ended below the channel, or this end closed it."""

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
Observe: TypeAlias = Callable[[Message, bool], None]
"""Is told of each message, and whether this end said it."""


class _Session(Enum):
    NONE = auto()
    """Nothing was greeted, or the link's connection is over."""
    GREETED = auto()
    """A channel is being made."""
    OPEN = auto()
    CLOSING = auto()
    """`Stack.close` was called: what is queued goes out, nothing more arrives."""
    FAILED = auto()
    """`Lost` is told; the link still carries what TLS has to say."""


_LEAVING: Final = (_Session.CLOSING, _Session.FAILED)


class Stack:
    """One end of the line, from bytes to messages."""

    def __init__(self, link: Link, channel_for: ChannelFor) -> None:
        self._link = link
        self._channel_for = channel_for
        self._channel: Channel | None = None
        self._reader = Reader()
        self._outgoing = bytearray()
        self._events: list[StackEvent] = []
        self._session = _Session.NONE
        self.observe: Observe | None = None
        """For a capture: nobody on the line can see into the channel."""

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
        if self.observe is not None:
            self.observe(message, True)
        if self._channel is None:
            self._outgoing += data
        else:
            self._channel.send(data)
        self._feed_link()

    def close(self, now: float) -> None:
        """End the session, or the wait for one, in good order; `Lost` tells when it is over."""
        if self._session in (_Session.GREETED, _Session.OPEN):
            self._leave(_Session.CLOSING)
            self._pump(now)
        elif self._link.state is LinkState.GREETING:
            self._link.close(now)

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
        return self._session is _Session.OPEN and not self._outgoing

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
                case _:
                    assert_never(event)
        self._pump(now)

    def _begin(self, greeting: Welcome | Hello) -> None:
        self._reader = Reader()
        self._channel = self._channel_for(greeting)
        self._session = _Session.GREETED
        self._events.append(Greeted(greeting))
        if self._channel is None:
            self._open(None)

    def _open(self, peer: Signer | None) -> None:
        self._session = _Session.OPEN
        self._events.append(Opened(peer))

    def _take(self, data: bytes, now: float) -> None:
        if self._channel is None:
            self._read(data)
            return
        self._channel.receive(data, now)
        for event in self._channel.events():
            match event:
                case Secured(peer):
                    self._open(peer)
                case Plain(plain):
                    self._read(plain)
                case Ended():
                    self._fail(N_("the peer ended the channel"))
                case Failed(reason):
                    self._fail(reason)
                case _:
                    assert_never(event)

    def _read(self, data: bytes) -> None:
        if self._session is not _Session.OPEN:
            return
        try:
            for message in self._reader.receive(data):
                if self.observe is not None:
                    self.observe(message, False)
                self._events.append(Arrived(message))
        except MessageError as error:
            self._fail(str(error))

    def _fail(self, reason: str) -> None:
        """The session is dead for the application at once; the link still carries what TLS has to say."""
        if self._session not in _LEAVING:
            self._events.append(Lost(ChannelOver(reason)))
            self._leave(_Session.FAILED)

    def _leave(self, session: _Session) -> None:
        """Not the place to feed the link: it may be one connection further than the event that led here."""
        self._session = session
        if self._channel is not None:
            self._channel.close()

    def _end(self, cause: LinkOver) -> None:
        if self._session is not _Session.FAILED:
            self._events.append(Lost(cause))
        self._session = _Session.NONE
        self._channel = None
        self._outgoing.clear()

    def _pump(self, now: float) -> None:
        self._feed_link()
        if self._session in _LEAVING and not self._outgoing:
            self._link.close(now)

    def _feed_link(self) -> None:
        if self._channel is not None:
            self._outgoing += self._channel.bytes_to_send()
        if not self._outgoing:
            return
        room = min(self._link.room(), len(self._outgoing))
        if room:
            self._link.send(bytes(self._outgoing[:room]))
            del self._outgoing[:room]

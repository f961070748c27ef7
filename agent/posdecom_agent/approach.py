"""From a silent line to a terminal that may be asked something: identify, then channel, or proofs in the clear.

First a connection that wants nothing but the greeting: it says which terminal hangs there and in which state, so that
the second one can be the right kind. The greeting is information; the channel then proves the serial, and the
terminal's confirmation proves that it let this agent in. Before that nothing is asked.

Sans-IO, as every layer: see `posdecom_protocol.stack`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from posdecom_protocol.certificates import Anchors, Signer
from posdecom_protocol.channel import Channel, TlsChannel
from posdecom_protocol.errors import LocalError
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import PROOFS_IN_CLEAR, LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import Confirmed, Reply, Request
from posdecom_protocol.speed_raise import Speeds
from posdecom_protocol.stack import Arrived, ChannelOver, Greeted, LinkOver, Lost, Opened, Stack
from posdecom_protocol.wording import N_

if TYPE_CHECKING:
    import ssl

Entropy = Callable[[int], bytes]

LET_IN_S: Final = 120.0
"""From the second greeting to the terminal's confirmation: the handshake's two thousand bytes take a line of 300 baud
that long. A line that is kept alive is no reason to wait on."""


@dataclass(frozen=True, slots=True)
class Access:
    """What lets the agent in: how a channel to the terminal with a given serial is made, and chance."""

    channel_to: Callable[[str], Channel]
    anchors: Anchors
    """Acquirers' and terminal makers': for the documents that pass through."""
    entropy: Entropy

    @classmethod
    def by_tls(cls, context: ssl.SSLContext, anchors: Anchors, entropy: Entropy) -> Access:
        return cls(lambda serial: TlsChannel.client(context, anchors, serial), anchors, entropy)


@dataclass(frozen=True, slots=True)
class Met:
    """This is on the line, as it says itself."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Ready:
    """The terminal may be asked; ``in_clear`` where it only serves proofs, and what it sealed before a tamper."""

    state: LifecycleState
    in_clear: bool


@dataclass(frozen=True, slots=True)
class Answered:
    reply: Reply


@dataclass(frozen=True, slots=True)
class Stranger:
    """Another terminal than the one that was expected; nothing was asked of it."""

    serial: str


@dataclass(frozen=True, slots=True)
class Over:
    cause: LinkOver | ChannelOver


ApproachEvent: TypeAlias = Met | Ready | Answered | Stranger | Over


class Approach:
    """One approach to one terminal, good until `Over` or `Stranger`: one of them comes, once, and nothing after it."""

    def __init__(
        self,
        access: Access,
        now: float,
        *,
        serial: str | None = None,
        line_rate_bytes_per_s: float | None = None,
        speeds: Speeds | None = None,
    ) -> None:
        """``serial``: the terminal that is expected, None for whichever is there."""
        self._access = access
        self._serial = serial
        self._rate = line_rate_bytes_per_s
        self._speeds = speeds
        self._welcome: Welcome | None = None
        self._opened = False
        self._confirmed = False
        self._over = False
        self._let_in_by: float | None = None
        self._events: list[ApproachEvent] = []
        self.peer: Signer | None = None
        """Who the channel proved the terminal to be; None in the clear, and before there is one."""
        self._service = Service.IDENTIFY
        self._stack = self._greet(Service.IDENTIFY, now)

    def receive(self, data: bytes, now: float) -> None:
        self._stack.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self._stack.tick(now)
        self._turn(now)
        if self._let_in_by is not None and now >= self._let_in_by:
            self._end(Over(ChannelOver(N_("the terminal lets nobody in"))))
            self._stack.close(now)

    def ask(self, request: Request) -> None:
        """Queue ``request``; `LocalError` unless `is_ready`."""
        if not self.is_ready:
            raise LocalError("nothing may be asked before the terminal is ready")
        self._stack.send(request)

    def close(self, now: float) -> None:
        self._stack.close(now)

    def events(self) -> list[ApproachEvent]:
        events, self._events = self._events, []
        return events

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self._stack.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        due = (self._stack.deadline(), self._let_in_by)
        return min((at for at in due if at is not None), default=None)

    @property
    def is_ready(self) -> bool:
        """After `Ready`, while the line has taken what was asked before."""
        return self._confirmed and self._stack.is_ready

    @property
    def stack(self) -> Stack:
        """For its counters."""
        return self._stack

    # --- private -----------------------------------------------------------------------------------

    def _greet(self, service: Service, now: float) -> Stack:
        self._service = service
        connection_id = int.from_bytes(self._access.entropy(4), "big") or 1
        hello = Hello(connection_id, service)
        link = Link.initiator(hello, now, line_rate_bytes_per_s=self._rate, speeds=self._speeds)
        return Stack(link, lambda _: self._channel(service))

    def _channel(self, service: Service) -> Channel | None:
        if service is not Service.CHANNEL:
            return None
        assert self._welcome is not None
        return self._access.channel_to(self._welcome.serial)

    def _turn(self, now: float) -> None:
        stack = self._stack
        for event in stack.events():
            if stack is not self._stack or self._over:
                return  # what is left belongs to the connection that only identified, or to nobody
            match event:
                case Greeted(greeting):
                    assert isinstance(greeting, Welcome)
                    self._greeted(greeting, now)
                case Opened(peer):
                    self.peer = peer
                    self._open()
                case Arrived(message):
                    self._arrived(message, now)
                case Lost(LinkOver(CloseReason.PEER_CLOSED)) if self._can_only_salvage():
                    self._let_in_by = None
                    self._stack = self._greet(Service.SALVAGE, now)
                case Lost(cause):
                    self._end(Over(self._told(cause)))

    def _can_only_salvage(self) -> bool:
        """A tamper takes the identity keys as a rule: then there is no channel, and everything left is in the clear.

        Such a terminal closes the connection. Any other end, of a bad line, leaves open whether there is a channel.
        """
        is_tampered = self._welcome is not None and self._welcome.tampered
        return is_tampered and self._service is Service.CHANNEL and not self._opened

    def _end(self, event: Stranger | Over) -> None:
        self._over = True
        self._let_in_by = None
        self._events.append(event)

    def _told(self, cause: LinkOver | ChannelOver) -> LinkOver | ChannelOver:
        """Between `Opened` (we let the terminal in) and its confirmation an end is its judgement of the technician;
        TLS can say no more."""
        if isinstance(cause, ChannelOver) and self._opened and not self._confirmed:
            return ChannelOver(N_("{reason} before the terminal let this technician in", reason=cause.reason))
        return cause

    def _greeted(self, welcome: Welcome, now: float) -> None:
        if self._welcome is None:
            self._welcome = welcome
            self._events.append(Met(welcome))
            if self._serial not in (None, welcome.serial):
                self._end(Stranger(welcome.serial))
                self._stack.close(now)
            else:
                clear = welcome.state in PROOFS_IN_CLEAR
                self._stack = self._greet(Service.PROOFS if clear else Service.CHANNEL, now)
        elif self._service is Service.CHANNEL:
            self._let_in_by = now + LET_IN_S

    def _open(self) -> None:
        """In the clear nobody confirms anything; in a channel the terminal speaks first."""
        assert self._welcome is not None
        self._opened = True
        if self._service is not Service.CHANNEL:
            self._confirmed = True
            self._events.append(Ready(self._welcome.state, in_clear=True))

    def _arrived(self, message: Request | Reply, now: float) -> None:
        match message:
            case Confirmed(state=state) if not self._confirmed:
                self._confirmed, self._let_in_by = True, None
                self._events.append(Ready(state, in_clear=False))
            case reply if self._confirmed and not isinstance(reply, Request | Confirmed):
                self._events.append(Answered(reply))
            case _:
                self._end(Over(ChannelOver(N_("the terminal sent a message out of place"))))
                self._stack.close(now)

"""What a `Link` tells: its events, why a connection ended, its states and its counters."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from .greeting import Hello, Welcome


class LinkState(Enum):
    LISTENING = "listening"
    """Acceptor without a connection."""
    GREETING = "greeting"
    """Initiator that waits for its WELCOME."""
    OPEN = "open"
    CLOSING = "closing"
    """`close` was called: what is queued goes out, then CLOSE."""
    CLOSED = "closed"
    """Initiator after its connection; it only answers a repeated CLOSE."""


class CloseReason(Enum):
    CLOSED = "closed"
    """This side closed; all it had sent arrived."""
    UNCONFIRMED = "unconfirmed"
    """This side closed; the peer did not confirm in time."""
    PEER_CLOSED = "peer closed"
    SUPERSEDED = "superseded"
    """A new HELLO came to the acceptor."""
    TIMED_OUT = "timed out"
    """Nothing was heard for `SILENCE_S`."""
    NO_ANSWER = "no answer"
    """No WELCOME within `HELLO_ANSWER_S`."""
    NO_COMMON_VERSION = "no common version"


@dataclass(frozen=True, slots=True)
class Connected:
    """The greeting of the other end: to the initiator a `Welcome`, to the acceptor a `Hello`."""

    greeting: Welcome | Hello


@dataclass(frozen=True, slots=True)
class Received:
    """The next bytes of the stream, at least one and at most the receive window."""

    data: bytes

    def __repr__(self) -> str:
        return f"Received({len(self.data)} bytes)"


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection is over; what `Received` told before is all that came."""

    reason: CloseReason


LinkEvent: TypeAlias = Connected | Received | Closed


@dataclass(slots=True)
class LinkCounters:
    """For reports; DATA frames unless named otherwise."""

    frames_sent: int = 0
    frames_resent: int = 0
    frames_received: int = 0
    """Good frames of any kind."""
    frames_bad: int = 0
    """Candidates with a wrong CRC or given up, and good frames with a body that makes no sense."""
    frames_mended: int = 0
    """Good but for one flipped bit."""
    probes: int = 0
    """How often nothing was heard for too long."""

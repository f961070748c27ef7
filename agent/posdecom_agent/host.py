"""The acquirer's host: connects, carries the settlement engine's bytes, and journals before it sends on.

`settle` runs over any `Host`; `HostAddress` is the one behind TCP, or behind TLS.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, assert_never

from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.errors import HostError
from posdecom_protocol.wording import N_

from .dialects import DIALECTS
from .host_tls import secured
from .job import Job
from .line import Clock
from .procedure import SettleEnd, Unreachable
from .settlement import Answered, Entry, Finished, PhaseDone, Settlement, Stopped

CONNECT_TIMEOUT_S: Final = 10.0
CONNECTS_MAX: Final = 5
"""A host that is restarting is back within seconds; one that refuses five times is down."""

CONNECT_PAUSE_S: Final = 0.5
READ_BYTES: Final = 16 * 1024
SEND_TIMEOUT_S: Final = 10.0
WAIT_S_MAX: Final = 1.0
WAIT_S_MIN: Final = 0.001
"""Of a socket: none at all would be another mode of it."""

_TLS: Final = "tls://"
_ADDRESS: Final = re.compile(r"(?:(?P<name>[^\s:\[\]]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{1,5})")


class Connection(Protocol):
    """One connection to the host. All but `close` raise `OSError` where it breaks."""

    def send(self, data: bytes) -> None:
        """Hand over all of ``data``."""

    def receive(self, timeout_s: float) -> bytes | None:
        """What came, waiting up to ``timeout_s`` for it; empty at the end of the stream, None where nothing came."""

    def close(self) -> None: ...


class Host(Protocol):
    """Where a host is; its text is for people."""

    def connect(self) -> Connection:
        """A new connection; `OSError` where there is none to be had."""


@dataclass(frozen=True, slots=True)
class HostAddress:
    host: str
    port: int
    ca_file: Path | None = None
    """PEM of the CA that vouches for the host: then it is spoken to by TLS, and not otherwise."""

    @classmethod
    def parse(cls, text: str, ca_file: Path | None = None) -> HostAddress:
        """``HOST:PORT`` or ``tls://HOST:PORT``; an IPv6 address in brackets. `ValueError` for anything else, and for
        TLS without a ``ca_file``."""
        is_tls = text.startswith(_TLS)
        found = _ADDRESS.fullmatch(text.removeprefix(_TLS))
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError(N_("an address is HOST:PORT or tls://HOST:PORT"))
        if is_tls and ca_file is None:
            raise ValueError(N_("tls:// needs the CA that vouches for the host: give it with --host-ca"))
        return cls(found["name"] or found["ipv6"], int(found["port"]), ca_file if is_tls else None)

    def __str__(self) -> str:
        return f"{_TLS if self.ca_file else ''}{self.host}:{self.port}"

    def connect(self) -> Connection:
        with ExitStack() as unless_connected:
            plain = socket.create_connection((self.host, self.port), CONNECT_TIMEOUT_S)
            unless_connected.callback(plain.close)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected = plain if self.ca_file is None else secured(plain, self.host, self.ca_file)
            unless_connected.pop_all()
        return _SocketConnection(connected)


class _SocketConnection:
    """Waits by the socket's own timeout: what TLS has unpacked already is not seen by a selector."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def send(self, data: bytes) -> None:
        self._socket.settimeout(SEND_TIMEOUT_S)
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes | None:
        self._socket.settimeout(max(timeout_s, WAIT_S_MIN))
        try:
            return self._socket.recv(READ_BYTES)
        except TimeoutError:
            return None

    def close(self) -> None:
        self._socket.close()


def settlement_of(job: Job, context: SealedContext) -> Settlement:
    """The engine for one context, with everything that earlier runs were told."""
    sequences = range(context.item_first, context.item_last + 1)
    index = [Entry(sequence, job.item(sequence).kind) for sequence in sequences]
    outcomes = {sequence: outcome for sequence, outcome in job.outcomes().items() if sequence in sequences}
    dialect, wanted = DIALECTS[context.dialect], job.offered_again
    return Settlement(dialect, index, lambda sequence: job.item(sequence).message, outcomes, wanted)


def journal_events(engine: Settlement, job: Job, watch: Callable[[], None]) -> SettleEnd | None:
    """Make every answer durable; the engine's end, once it has one."""
    end: SettleEnd | None = None
    for event in engine.events():
        match event:
            case Answered(sequence, outcome, digest):
                job.keep_outcome(sequence, outcome, digest)
                watch()
            case Finished() | Stopped():
                end = event
            case PhaseDone():
                pass
            case _:
                assert_never(event)
    return end


def settle(
    job: Job,
    context: SealedContext,
    host: Host,
    clock: Clock,
    pause: Callable[[float], None],
    watch: Callable[[], None] = lambda: None,
) -> SettleEnd:
    """The conversation about one context, over as many connections as it takes (at most `CONNECTS_MAX` in vain).

    `HostError` where the seal names a dialect that this version does not speak, or the host is not who it should be.
    """
    if context.dialect not in DIALECTS:
        raise HostError(N_("this version does not speak the dialect {dialect}", dialect=context.dialect))
    engine = settlement_of(job, context)
    end = journal_events(engine, job, watch)
    failures, reason = 0, ""
    while end is None:
        answered = len(engine.outcomes)
        if failures == CONNECTS_MAX:
            return Unreachable(N_("{where}: {reason}", where=host, reason=reason))
        try:
            with closing(host.connect()) as connection:
                end = _converse(engine, job, connection, clock, watch)
            reason = N_("the connection breaks")
        except OSError as error:
            reason = error.strerror or type(error).__name__
        failures = 1 if len(engine.outcomes) > answered else failures + 1
        if end is None:
            engine.disconnected(clock.now())
            end = journal_events(engine, job, watch)
            pause(CONNECT_PAUSE_S)
    return end


def _converse(
    engine: Settlement, job: Job, connection: Connection, clock: Clock, watch: Callable[[], None]
) -> SettleEnd | None:
    """On one connection, until the engine ends, or the connection does (None), or the engine gives it up (None)."""
    engine.connected(clock.now())
    while True:
        end = journal_events(engine, job, watch)
        if end is not None:
            return end
        while data := engine.bytes_to_send(clock.now()):
            connection.send(data)
        deadline = engine.deadline()
        wait = WAIT_S_MAX if deadline is None else min(WAIT_S_MAX, max(0.0, deadline - clock.now()))
        received = connection.receive(wait)
        if received is not None:
            if not received:
                return None
            engine.receive(received, clock.now())
        engine.tick(clock.now())
        if engine.wants_new_connection:
            return journal_events(engine, job, watch)

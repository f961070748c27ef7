"""The adversary's end of a terminal's line: sessions one after the other, bytes into them, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from posdecom_protocol.channel import Channel
from posdecom_protocol.greeting import Hello, Service
from posdecom_protocol.link import Link
from posdecom_protocol.messages import Confirmed, Refused, Reply, Request, encode
from posdecom_protocol.stack import Arrived, Greeted, Lost, Opened, Stack
from posdecom_simulator.terminal.front import Front
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal
from posdecom_simulator.world.channel import StubChannel

from ..scene import NOW, entropy, site
from .bare import Bare
from .life import BOOTS_MAX, SEED, Stage
from .matrix import Breach, Outcome

TURN_S: Final = 0.02
TURNS_MAX: Final = 1000
QUIET_TURNS: Final = 3
"""So long nobody says anything where something is waited for."""


@dataclass(frozen=True, slots=True)
class Line:
    """Makers of a channel's two ends; the terminal's is told what certificates must outlast."""

    intruder: Callable[[], Channel]
    terminal: Callable[[float | None], Channel]


def stub() -> Line:
    """The right technician, without cryptography."""
    here = site()
    return Line(
        lambda: StubChannel(here.terminal_peer, server_side=False),
        lambda floor_at: StubChannel(here.technician_peer, server_side=True, floor_at=floor_at),
    )


class Intruder:
    """A booted terminal of ``stage`` whose memory must not change from now on, and a line to it."""

    def __init__(self, stage: Stage, service: Service, line: Line | None = None) -> None:
        self._line = line or stub()
        self.writes = 0
        self.is_watched = False
        self._stage = stage
        self._service = Service.CHANNEL if stage.begun else service
        self._store = MemoryStore(self._changes, stage.memory)
        self._now = NOW
        self._connections = 0
        self._channel: Channel = Bare()
        self.front = self._boot()
        self._connect()
        if stage.begun is not None:
            self.say(encode(stage.begun))
            self._service = service
            self._connect()
        self.is_shut_out = not self._is_open
        self.is_watched = True

    def say(self, data: bytes) -> Outcome:
        """``data`` as bytes of the message stream, in a session that is made where there is none; `Breach`."""
        if not self._is_open:
            self._connect()
        if not self._is_open:
            return Outcome.CLOSED
        self._channel.send(data)
        replies = self._run()
        if not self._is_open:
            return Outcome.CLOSED
        if not replies:
            return Outcome.DEAF
        return Outcome.REFUSED if isinstance(replies[-1], Refused) else Outcome.SAME

    # --- private --------------------------------------------------------------------------------------------

    def _changes(self) -> None:
        self.writes += 1
        if self.is_watched:
            raise Breach(f"{self._stage.name}: the memory changes")

    def _boot(self) -> Front:
        terminal = Terminal.boot(self._store, entropy(SEED, 7))
        for _ in range(BOOTS_MAX):
            if terminal.restart_due:
                terminal = Terminal.boot(self._store, entropy(SEED, 7))
        assert not terminal.restart_due
        floor_at = terminal.dates_floor(NOW)
        return Front(terminal, lambda: self._line.terminal(floor_at), NOW)

    def _connect(self) -> None:
        self._connections += 1
        is_channel = self._service is Service.CHANNEL
        self._channel = self._line.intruder() if is_channel else Bare()
        hello = Hello(self._connections, self._service)
        self._stack = Stack(
            Link.initiator(hello, self._now, line_rate_bytes_per_s=None), lambda _: self._channel
        )
        self._is_open = False
        self._run()

    def _run(self) -> list[Request | Reply]:
        """Until nobody says anything; what arrived, but for the terminal's confirmation."""
        arrived, quiet = list[Request | Reply](), 0
        for _ in range(TURNS_MAX):
            self._now += TURN_S
            quiet = 0 if self._carry() else quiet + 1
            for event in self._stack.events():
                match event:
                    case Greeted():
                        self._is_open = self._service is not Service.CHANNEL
                    case Opened():
                        self._is_open = True
                    case Arrived(message) if not isinstance(message, Confirmed):
                        arrived.append(message)
                    case Lost():
                        self._is_open = False
                    case _:
                        pass
            if quiet == QUIET_TURNS or (quiet and (arrived or not self._is_open)):
                return arrived
        raise AssertionError("the terminal never falls quiet")

    def _carry(self) -> bool:
        self._stack.tick(self._now)
        out = self._stack.bytes_to_send(self._now)
        self.front.tick(self._now)
        if out:
            self.front.receive(out, self._now)
        back = self.front.bytes_to_send(self._now)
        if back:
            self._stack.receive(back, self._now)
        return bool(out or back)

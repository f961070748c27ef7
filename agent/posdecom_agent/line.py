"""One visit over a real port: the clock, the waiting and the writing that the pure layers leave out."""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from posdecom_protocol.link_events import LinkState
from posdecom_protocol.stack import Observe, Stack

from .capture import Capture, CapturedPort, Direction
from .port_access import LinkLost
from .ports import Port

WRITE_PAUSE_S: Final = 0.002
"""While the port takes nothing: a quarter of the time in which 115,200 baud empty the smallest kernel buffer."""

WAIT_S_MAX: Final = 1.0
PENDING_BYTES_MAX: Final = 8 * 1024
"""Two of the largest frames: no more is asked of the link while this waits for the port."""

GOODBYE_S: Final = 1.0
"""A close that the terminal does not confirm in this time is its own affair."""


CAPTURE: Final[contextvars.ContextVar[Capture | None]] = contextvars.ContextVar("capture", default=None)
"""Where this run's traffic is written to, whoever drives the line."""


class Clock(Protocol):
    """Seconds since 1970 that never run backwards."""

    def now(self) -> float: ...


class WallClock:
    """Seconds since 1970 that never run backwards: the wall clock is read once, the rest is monotonic."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        return self._offset + time.monotonic()


class Machine(Protocol):
    """What a line is driven for: `visit.Visit`, `look.Look`."""

    def receive(self, data: bytes, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes: ...
    def deadline(self) -> float | None: ...
    @property
    def stack(self) -> Stack: ...
    @property
    def is_over(self) -> bool: ...


def drive(machine: Machine, port: Port, clock: Clock, watch: Callable[[], None] = lambda: None) -> None:
    """Run ``machine`` on ``port`` until it is over, then give its goodbye a moment.

    ``watch`` is called after every turn, for progress on the screen. `LinkLost` where the port ends before the
    machine does; a machine that is over has its result, and nobody needs the port any more.
    """
    observe: Observe | None = None
    if (capture := CAPTURE.get()) is not None:
        port, observe = CapturedPort(port, capture, clock.now), _observer(capture, clock)
    driver = _Driver(machine, port, clock, machine.stack.link.baud, observe)
    while not machine.is_over:
        driver.turn(WAIT_S_MAX)
        watch()
    goodbye_by = clock.now() + GOODBYE_S
    with contextlib.suppress(LinkLost):
        while machine.stack.link.state is not LinkState.CLOSED and (left := goodbye_by - clock.now()) > 0:
            driver.turn(left)


def _observer(capture: Capture, clock: Clock) -> Observe:
    ways = {True: Direction.TO_TERMINAL, False: Direction.FROM_TERMINAL}
    return lambda message, ours: capture.message(ways[ours], message, clock.now())


@dataclass(slots=True)
class _Driver:
    machine: Machine
    port: Port
    clock: Clock
    baud: int | None
    """What the port was opened with, or was set to."""
    observe: Observe | None
    pending: bytearray = field(default_factory=bytearray)

    def turn(self, wait_s_max: float) -> None:
        self.machine.stack.observe = (
            self.observe
        )  # each time: a visit's second connection has a stack of its own
        self._write(self.clock.now())
        data = self.port.read(self._wait_s(self.clock.now(), wait_s_max))
        now = self.clock.now()
        if data:
            self.machine.receive(data, now)
        self.machine.tick(now)

    def _write(self, now: float) -> None:
        if not self.pending:
            self._set_speed()
        if len(self.pending) < PENDING_BYTES_MAX:
            self.pending += self.machine.bytes_to_send(now, PENDING_BYTES_MAX - len(self.pending))
        while self.pending and (taken := self.port.write(bytes(self.pending))):
            del self.pending[:taken]

    def _set_speed(self) -> None:
        """Before anything is said at the new speed, and after the last of the old one."""
        baud = self.machine.stack.link.baud
        if baud is not None and baud != self.baud:
            self.port.set_speed(baud)
            self.baud = baud

    def _wait_s(self, now: float, wait_s_max: float) -> float:
        if self.pending:
            return WRITE_PAUSE_S
        deadline = self.machine.deadline()
        return wait_s_max if deadline is None else max(0.0, min(wait_s_max, deadline - now))

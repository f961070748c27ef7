"""One visit over a real port: the clock, the waiting and the writing that the pure layers leave out."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from posdecom_protocol.link_events import LinkState
from posdecom_protocol.stack import Stack

from .ports import Port

WRITE_PAUSE_S: Final = 0.002
"""While the port takes nothing: a quarter of the time in which 115,200 baud empty the smallest kernel buffer."""

WAIT_S_MAX: Final = 1.0
PENDING_BYTES_MAX: Final = 8 * 1024
"""Two of the largest frames: no more is asked of the link while this waits for the port."""

GOODBYE_S: Final = 1.0
"""A close that the terminal does not confirm in this time is its own affair."""


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
    """Run ``machine`` on ``port`` until it is over, then give its goodbye a moment. Raises `LinkLost`.

    ``watch`` is called after every turn, for progress on the screen.
    """
    pending = bytearray()
    goodbye_by: float | None = None
    while True:
        now = clock.now()
        if machine.is_over:
            goodbye_by = goodbye_by or now + GOODBYE_S
            if machine.stack.link.state is LinkState.CLOSED or now >= goodbye_by:
                return
        _write(machine, port, pending, now)
        data = port.read(_wait_s(machine, pending, clock.now()))
        now = clock.now()
        if data:
            machine.receive(data, now)
        machine.tick(now)
        watch()


def _write(machine: Machine, port: Port, pending: bytearray, now: float) -> None:
    if len(pending) < PENDING_BYTES_MAX:
        pending += machine.bytes_to_send(now, PENDING_BYTES_MAX - len(pending))
    while pending and (taken := port.write(bytes(pending))):
        del pending[:taken]


def _wait_s(machine: Machine, pending: bytearray, now: float) -> float:
    if pending:
        return WRITE_PAUSE_S
    deadline = machine.deadline()
    return WAIT_S_MAX if deadline is None else max(0.0, min(WAIT_S_MAX, deadline - now))

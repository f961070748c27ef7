"""Two pseudo-terminals joined by a serial line in real time: the wires of `world.line`, told the time by the clock.

Every byte leaves at the speed that its sender has set on his pseudo-terminal, and is garbled unless the receiver has
set the same one and the line can carry it. What a receiver does not take in time is lost, as on a line without flow
control. Moves what is due in ticks, so that it costs little of the processor that its two ends need; a packet is never
early, and late by a tick at most.
"""

from __future__ import annotations

import fcntl
import heapq
import os
import select
import struct
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .world.line import Wire

BITS_PER_BYTE: Final = 10
"""8N1: start bit, eight data bits, stop bit."""

TICK_S: Final = 0.002
"""A USB host looks at its adapters every millisecond; twice that is still short against every timer of a protocol."""

WAIT_S_MAX: Final = 0.5
SENDER_BYTES: Final = 4096
"""What a driver takes from a writer ahead of the line: the transmit buffer of Linux's serial drivers..."""
SENDER_S: Final = 0.03
"""... or as much as lasts while this process waits for the processor."""

_TCGETS2: Final = 0x802C542A
_TCSETS2: Final = 0x402C542B
_TERMIOS2: Final = struct.Struct("=4I20B2I")
"""struct termios2 of Linux (asm-generic/termbits.h): the third member holds the control flags, the last two are input
and output speed in bit/s. The standard library knows no speeds but those with a name."""
_CBAUD, _BOTHER = 0o010017, 0o010000


class Socket:
    """One end of the line: a raw pseudo-terminal. A program opens it by its name or has it as standard input."""

    def __init__(self, baud: int) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self._set_speed(baud)
        os.set_blocking(self.master, False)
        self._links: list[Path] = []

    @property
    def device(self) -> str:
        return os.ttyname(self._slave)

    @property
    def baud(self) -> int:
        """As the program on this side has set it."""
        return self._settings()[-1]

    def link(self, name: Path) -> None:
        """A symbolic link to it, for as long as it is open."""
        temporary = name.with_name(f"{name.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(self.device)
        temporary.replace(name)
        self._links.append(name)

    def fileno(self) -> int:
        """The program's side."""
        return self._slave

    def read(self, count: int) -> bytes:
        try:
            return os.read(self.master, count)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        try:
            return os.write(self.master, data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        for link in self._links:
            link.unlink(missing_ok=True)
        os.close(self._slave)
        os.close(self.master)

    def _settings(self) -> list[int]:
        return list(_TERMIOS2.unpack(fcntl.ioctl(self.master, _TCGETS2, bytes(_TERMIOS2.size))))

    def _set_speed(self, baud: int) -> None:
        settings = self._settings()
        settings[2] = settings[2] & ~_CBAUD | _BOTHER
        settings[-2:] = baud, baud
        fcntl.ioctl(self._slave, _TCSETS2, _TERMIOS2.pack(*settings))


@dataclass
class Direction:
    """From one socket through a wire to the other."""

    source: Socket
    target: Socket
    wire: Wire
    baud_max: int | None = None
    """What the cable can carry."""
    overrun_bytes: int = 0
    """Lost because the receiver did not read."""
    _under_way: list[tuple[float, int, bytes]] = field(default_factory=list)
    _serial: int = 0

    def turn(self, now: float) -> None:
        room = self.room_bytes(now)
        if room > 0 and (data := self.source.read(room)):
            self._set_speed()
            self._send(self.wire.carry(data, now))
        else:
            self._send(self.wire.due(now))
        self._arrive(now)

    def room_bytes(self, now: float) -> int:
        """How much more the sender's driver takes."""
        rate = self.wire.rate_bytes_per_s or 1.0
        waiting = max(0.0, self.wire.free_at - now) * rate
        return int(max(SENDER_BYTES, SENDER_S * rate) - waiting)

    def due_at(self) -> float | None:
        """When something arrives, unless the sender sends more."""
        due = [self.wire.due_at, self._under_way[0][0] if self._under_way else None]
        return min((at for at in due if at is not None), default=None)

    # --- private

    def _set_speed(self) -> None:
        baud = self.source.baud
        self.wire.rate_bytes_per_s = max(baud, 1) / BITS_PER_BYTE
        too_fast = self.baud_max is not None and baud > self.baud_max
        self.wire.garbles = too_fast or baud != self.target.baud

    def _send(self, arrivals: list[tuple[float, bytes]]) -> None:
        for at, packet in arrivals:
            self._serial += 1
            heapq.heappush(self._under_way, (at, self._serial, packet))

    def _arrive(self, now: float) -> None:
        data = bytearray()
        while self._under_way and self._under_way[0][0] <= now:
            data += heapq.heappop(self._under_way)[2]
        if data:
            self.overrun_bytes += len(data) - self.target.write(bytes(data))


@dataclass(frozen=True, slots=True)
class Cable:
    """Both directions. Outages of the wires count from the first byte that either of them carries."""

    rightward: Direction
    leftward: Direction

    def run(self, is_over: Callable[[], bool], clock: Callable[[], float] = time.monotonic) -> None:
        """Carry until ``is_over()``, which is asked at least every `WAIT_S_MAX`."""
        begins: float | None = None
        while not is_over():
            now = clock()
            if begins is None and select.select(self._masters(), [], [], WAIT_S_MAX)[0]:
                now = begins = clock()
                self._begin_outages(begins)
            for direction in (self.rightward, self.leftward):
                direction.turn(now)
            self._wait(clock)

    # --- private

    def _masters(self) -> list[int]:
        return [self.rightward.source.master, self.leftward.source.master]

    def _begin_outages(self, now: float) -> None:
        for direction in (self.rightward, self.leftward):
            direction.wire.cuts = [(now + start, now + end) for start, end in direction.wire.cuts]

    def _wait(self, clock: Callable[[], float]) -> None:
        """A tick while anything is under way, then until something is due or there is something to take."""
        both = (self.rightward, self.leftward)
        due = [at for direction in both if (at := direction.due_at()) is not None]
        if due:
            time.sleep(TICK_S)
        now = clock()
        ready = [direction.source.master for direction in both if direction.room_bytes(now) > 0]
        full_s = [TICK_S] if len(ready) < len(both) else []
        wait_s = min([WAIT_S_MAX, *full_s, *(max(0.0, at - now) for at in due)])
        select.select(ready, [], [], wait_s)

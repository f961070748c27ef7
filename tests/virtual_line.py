"""A serial line in virtual time, with a link at each end: what two real ends would see, from one seed.

Each direction takes bytes at its own rate, damages them, and hands them over in chunks, as USB adapters do.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from posdecom_protocol.link import Link
from posdecom_protocol.link_events import LinkEvent, Received


@dataclass(frozen=True)
class Faults:
    """Chances a byte, but for duplicates and delays, which are a chunk."""

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.5
    garbage: float = 0.0
    """Chance a chunk that noise of up to 40 bytes comes before it."""


@dataclass
class Direction:
    """One wire of the line."""

    rate_bytes_per_s: float | None
    faults: Faults
    random: random.Random
    chunk_bytes: int = 62
    latency_s: float = 0.001
    cuts: list[tuple[float, float]] = field(default_factory=list)
    """From, to: what arrives then is lost."""
    free_at: float = 0.0
    carried_bytes: int = 0

    def carry(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """When which chunk arrives."""
        arrivals = []
        for start in range(0, len(data), self.chunk_bytes):
            chunk = data[start : start + self.chunk_bytes]
            self.carried_bytes += len(chunk)
            seconds = 0.0 if self.rate_bytes_per_s is None else len(chunk) / self.rate_bytes_per_s
            self.free_at = max(self.free_at, now) + seconds
            arrivals += self._damage(chunk, self.free_at + self.latency_s)
        return arrivals

    def _damage(self, chunk: bytes, at: float) -> list[tuple[float, bytes]]:
        if any(start <= at < end for start, end in self.cuts):
            return []
        chance, faults = self.random.random, self.faults
        damaged = bytes(
            byte ^ (1 << self.random.randrange(8)) if faults.flip and chance() < faults.flip else byte
            for byte in chunk
            if not (faults.drop and chance() < faults.drop)
        )
        if chance() < faults.garbage:
            damaged = self.random.randbytes(self.random.randrange(40)) + damaged
        arrivals = [(at + (faults.delay_s if chance() < faults.delay else 0.0), damaged)]
        if chance() < faults.duplicate:
            arrivals.append((at + faults.delay_s * chance(), damaged))
        return arrivals


@dataclass
class End:
    """A link, what it still has to say, and what it heard."""

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


class VirtualLine:
    """``left`` and ``right`` joined by two wires; `run_until` moves time on."""

    def __init__(
        self, left: End, right: End, rightward: Direction, leftward: Direction, now: float = 0.0
    ) -> None:
        self.now = now
        self.left, self.right = left, right
        self.rightward, self.leftward = rightward, leftward
        self._wires = ((left, right, rightward), (right, left, leftward))
        self._arrivals: list[tuple[float, int, End, bytes]] = []
        self._serial = 0
        self.turns = 0
        self.trace = hashlib.sha256()
        """What arrived where and when: equal for equal seeds."""

    def step(self) -> None:
        """Both ends take their turn, then time moves to what happens next."""
        self.turns += 1
        for source, target, wire in self._wires:
            for at, data in wire.carry(source.turn(self.now), self.now):
                self._serial += 1
                heapq.heappush(self._arrivals, (at, self._serial, target, data))
        self._move_on()

    def run_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Steps until ``done()`` is true; False when virtual time runs out first."""
        end = self.now + limit_s
        while not done():
            if self.now >= end:
                return False
            self.step()
        return True

    def run_for(self, seconds: float) -> None:
        self.run_until(lambda: False, seconds)

    def _move_on(self) -> None:
        deadlines = [end.link.deadline() for end in (self.left, self.right)]
        wakes = [deadline for deadline in deadlines if deadline is not None]
        if self._arrivals:
            wakes.append(self._arrivals[0][0])
        self.now = max(self.now, min(wakes, default=self.now + 1.0))
        while self._arrivals and self._arrivals[0][0] <= self.now:
            at, _, target, data = heapq.heappop(self._arrivals)
            self.trace.update(f"{at} {target is self.left} {data.hex()}\n".encode())
            target.link.receive(data, self.now)

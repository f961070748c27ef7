"""A serial line in virtual time, with an end on each side: what two real ends would see, from one seed.

Each wire takes bytes at its own rate, damages them, and hands them over in chunks, as USB adapters do. Time moves only
in `VirtualLine.step`, to whatever happens next.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final, Generic, Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Noise:
    """Chances a byte, but for duplicates, delays, garbage and replays, which are a chunk."""

    flip: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.5
    garbage: float = 0.0
    """Chance a chunk that noise of up to 40 bytes comes before it."""
    replay: float = 0.0
    """Chance a chunk that one which was said earlier, maybe in another session, comes before it."""


SILENCE: Final = Noise()
GARBAGE_BYTES_MAX: Final = 40
REPLAYED_CHUNKS_MAX: Final = 64
"""What is replayed was among the last so many."""


@dataclass
class Wire:
    """One direction of the line."""

    rate_bytes_per_s: float | None
    noise: Noise
    random: random.Random
    chunk_bytes: int = 62
    latency_s: float = 0.001
    cuts: list[tuple[float, float]] = field(default_factory=list)
    """From, to: what arrives then is lost."""
    fired: Counter[str] = field(default_factory=Counter)
    """How often each kind of noise really struck."""
    free_at: float = 0.0
    carried_bytes: int = 0
    said: deque[bytes] = field(default_factory=lambda: deque(maxlen=REPLAYED_CHUNKS_MAX))

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
            self.fired["stall"] += 1
            return []
        noise = self.noise
        if noise == SILENCE:
            return [(at, chunk)]
        damaged = bytes(
            byte ^ (1 << self.random.randrange(8)) if self._strikes("flip", noise.flip) else byte
            for byte in chunk
            if not self._strikes("drop", noise.drop)
        )
        if self._strikes("garbage", noise.garbage):
            damaged = self.random.randbytes(self.random.randrange(GARBAGE_BYTES_MAX)) + damaged
        if self._strikes("replay", noise.replay) and self.said:
            damaged = self.random.choice(self.said) + damaged
        self.said.append(chunk)
        arrivals = [(at + (noise.delay_s if self._strikes("delay", noise.delay) else 0.0), damaged)]
        if self._strikes("duplicate", noise.duplicate):
            arrivals.append((at + noise.delay_s * self.random.random(), damaged))
        return arrivals

    def _strikes(self, kind: str, chance: float) -> bool:
        if not chance or self.random.random() >= chance:
            return False
        self.fired[kind] += 1
        return True


class End(Protocol):
    """Who sits at one side of the line."""

    def turn(self, now: float) -> bytes:
        """Do what is due; what goes out."""

    def receive(self, data: bytes, now: float) -> None: ...

    def deadline(self) -> float | None:
        """When to be given a `turn` at the latest; in the past means now."""


Left = TypeVar("Left", bound=End)
Right = TypeVar("Right", bound=End)


class VirtualLine(Generic[Left, Right]):
    """``left`` and ``right`` joined by two wires; `step` and `run_until` move time on. An end may be replaced."""

    def __init__(
        self,
        left: Left,
        right: Right,
        rightward: Wire,
        leftward: Wire,
        now: float = 0.0,
        *,
        lengths_only: bool = False,
        watch: Callable[[bytes, bool], None] | None = None,
    ) -> None:
        """``lengths_only``: what is said is left out of `trace`, for channels with randomness of their own.
        ``watch`` sees every chunk that arrived, and whether on the left."""
        self.now = now
        self.left, self.right = left, right
        self.rightward, self.leftward = rightward, leftward
        self.is_plugged = True
        self.unplug_at: list[int] = []
        """Counts of delivered bytes, both ways together and ascending, after which the plug is pulled."""
        self.fired: Counter[str] = Counter()
        """How often the plug was pulled at one of these."""
        self.turns = 0
        self.delivered_bytes = 0
        self.trace = hashlib.sha256()
        """What arrived where and when: equal for equal seeds."""
        self._lengths_only = lengths_only
        self._watch = watch
        self._arrivals: list[tuple[float, int, bool, bytes]] = []
        self._serial = 0

    @property
    def under_way_bytes(self) -> int:
        """Sent and not yet arrived, both ways."""
        return sum(len(data) for _, _, _, data in self._arrivals)

    def unplug(self) -> None:
        """What is under way is lost, and whatever is sent until `plug`."""
        self.is_plugged = False
        self._arrivals.clear()

    def plug(self) -> None:
        self.is_plugged = True

    def step(self, until: float = inf) -> None:
        """Both ends take their turn, then time moves to what happens next, ``until`` at the latest."""
        self.turns += 1
        self._send(self.left.turn(self.now), self.rightward, to_left=False)
        self._send(self.right.turn(self.now), self.leftward, to_left=True)
        self._move_on(until)

    def run_until(self, done: Callable[[], bool], limit_s: float) -> bool:
        """Steps until ``done()`` is true; False when virtual time runs out first."""
        end = self.now + limit_s
        while not done():
            if self.now >= end:
                return False
            self.step(end)
        return True

    def run_for(self, seconds: float) -> None:
        self.run_until(lambda: False, seconds)

    # --- private

    def _send(self, data: bytes, wire: Wire, *, to_left: bool) -> None:
        if not self.is_plugged:
            return
        for at, chunk in wire.carry(data, self.now):
            self._serial += 1
            heapq.heappush(self._arrivals, (at, self._serial, to_left, chunk))

    def _move_on(self, until: float) -> None:
        wakes = [wake for wake in (self.left.deadline(), self.right.deadline()) if wake is not None]
        if self._arrivals:
            wakes.append(self._arrivals[0][0])
        self.now = max(self.now, min(min(wakes, default=self.now + 1.0), until))
        while self._arrivals and self._arrivals[0][0] <= self.now:
            at, _, to_left, data = heapq.heappop(self._arrivals)
            self._deliver(data, at, to_left=to_left)

    def _deliver(self, data: bytes, at: float, *, to_left: bool) -> None:
        is_last = bool(self.unplug_at) and self.delivered_bytes + len(data) >= self.unplug_at[0]
        if is_last:
            data = data[: self.unplug_at.pop(0) - self.delivered_bytes]
        shown = str(len(data)) if self._lengths_only else data.hex()
        self.trace.update(f"{at} {to_left} {shown}\n".encode())
        self.delivered_bytes += len(data)
        target = self.left if to_left else self.right
        target.receive(data, self.now)
        if self._watch is not None:
            self._watch(data, to_left)
        if is_last:
            self.fired["unplug"] += 1
            self.unplug()

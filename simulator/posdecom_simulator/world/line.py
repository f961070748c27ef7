"""A serial line: wires that pace and damage bytes, from one seed, and two ends in virtual time joined by them.

A `Wire` takes bytes at its own rate, damages them, and hands them over in packets, as USB adapters do. It is told the
time, so the same model serves `VirtualLine`, where time moves only in `step`, to whatever happens next, and
`cable.Cable`, where it is the clock's.
"""

from __future__ import annotations

import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, log, log1p
from types import MappingProxyType
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
    burst: float = 0.0
    """Chance a byte that it and the next ones, ``burst_bytes`` in all, arrive as noise."""
    burst_bytes: int = 100


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
    latency_timer_s: float = 0.0
    """A packet that does not fill up is handed over so long after its first byte; 0: as soon as nothing follows."""
    garbles: bool = False
    """The ends differ in speed: as many bytes arrive as were sent, of no meaning."""
    _packet: bytearray = field(default_factory=bytearray)
    _packet_since: float = 0.0
    _burst_left: int = 0

    def carry(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """When which packet arrives. Where a latency timer runs, the last one may wait for it: see `due`."""
        arrivals = self.due(now)
        byte_s = 0.0 if self.rate_bytes_per_s is None else 1 / self.rate_bytes_per_s
        position = 0
        while position < len(data):
            piece = data[position : position + self._packet_bytes - len(self._packet)]
            position += len(piece)
            self._take(piece, max(self.free_at, now), byte_s)
            is_last = position == len(data)
            if len(self._packet) == self._packet_bytes or (is_last and not self.latency_timer_s):
                arrivals += self._hand_over(self.free_at)
        return arrivals

    @property
    def due_at(self) -> float | None:
        """When the latency timer runs out."""
        return self._packet_since + self.latency_timer_s if self._packet else None

    def due(self, now: float) -> list[tuple[float, bytes]]:
        """The packet whose latency timer has run out."""
        return [] if self.due_at is None or now < self.due_at else self._hand_over(self.due_at)

    def lose(self) -> None:
        """What waits for the latency timer is gone."""
        self._packet.clear()

    @property
    def _packet_bytes(self) -> int:
        """On a slow line the timer runs out before a packet is full."""
        if not self.latency_timer_s or self.rate_bytes_per_s is None:
            return self.chunk_bytes
        return max(1, min(self.chunk_bytes, int(self.rate_bytes_per_s * self.latency_timer_s)))

    def _take(self, piece: bytes, start: float, byte_s: float) -> None:
        if not self._packet:
            self._packet_since = start + byte_s
        self._packet += self.random.randbytes(len(piece)) if self.garbles else piece
        self.carried_bytes += len(piece)
        self.free_at = start + len(piece) * byte_s

    def _hand_over(self, at: float) -> list[tuple[float, bytes]]:
        chunk = bytes(self._packet)
        self._packet.clear()
        return self._damage(chunk, at + self.latency_s)

    def _damage(self, chunk: bytes, at: float) -> list[tuple[float, bytes]]:
        if any(start <= at < end for start, end in self.cuts):
            self.fired["stall"] += 1
            return []
        noise = self.noise
        if noise == SILENCE:
            return [(at, chunk)]
        damaged = self._in_bursts(self._bytewise(chunk))
        if self._strikes("garbage", noise.garbage):
            damaged = self.random.randbytes(self.random.randrange(GARBAGE_BYTES_MAX)) + damaged
        if self._strikes("replay", noise.replay) and self.said:
            damaged = self.random.choice(self.said) + damaged
        self.said.append(chunk)
        arrivals = [(at + (noise.delay_s if self._strikes("delay", noise.delay) else 0.0), damaged)]
        if self._strikes("duplicate", noise.duplicate):
            arrivals.append((at + noise.delay_s * self.random.random(), damaged))
        return arrivals

    def _bytewise(self, chunk: bytes) -> bytes:
        dropped = self._struck("drop", self.noise.drop, len(chunk))
        out = bytearray(chunk)
        for position in reversed(dropped):
            del out[position]
        for position in self._struck("flip", self.noise.flip, len(out)):
            out[position] ^= 1 << self.random.randrange(8)
        return bytes(out)

    def _in_bursts(self, chunk: bytes) -> bytes:
        """A burst may go on in the next chunk, and one that strikes inside another begins it anew."""
        begins = self._struck("burst", self.noise.burst, len(chunk))
        if not begins and not self._burst_left:
            return chunk
        out, begin = bytearray(chunk), set(begins)
        for position in range(len(out)):
            if position in begin:
                self._burst_left = self.noise.burst_bytes
            if self._burst_left:
                self._burst_left -= 1
                out[position] = self.random.randrange(256)
        return bytes(out)

    def _struck(self, kind: str, chance: float, length: int) -> list[int]:
        """Which of ``length`` bytes ``kind`` strikes, each with the same chance; drawn is the way to the next one."""
        positions: list[int] = []
        position = self._gap(chance) if chance else length
        while position < length:
            self.fired[kind] += 1
            positions.append(position)
            position += 1 + self._gap(chance)
        return positions

    def _gap(self, chance: float) -> int:
        """How many bytes go well before one does not: geometric, by inversion."""
        return 0 if chance >= 1 else int(log(1 - self.random.random()) / log1p(-chance))

    def _strikes(self, kind: str, chance: float) -> bool:
        if not chance or self.random.random() >= chance:
            return False
        self.fired[kind] += 1
        return True


BYTE_FLIPPED: Final = "byte flipped"
BYTE_DROPPED: Final = "byte dropped"
BYTE_TWICE: Final = "byte twice"
DAMAGE: Final[Mapping[str, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {
        BYTE_FLIPPED: lambda one, bit: bytes(value ^ 1 << bit for value in one),
        BYTE_DROPPED: lambda one, bit: b"",
        BYTE_TWICE: lambda one, bit: one + one,
    }
)
"""What becomes of a byte that is struck by its number, by the name of it; the bit is the one that flips."""


IDLE_S: Final = 1.0
"""How far a step goes on which nothing waits and no end was set."""


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
        self.damage_at: dict[str, frozenset[int]] = {}
        """Numbers of the bytes, from 1, both ways together, that each kind of `DAMAGE` strikes as they arrive."""
        self.luck = 0
        """Together with a byte's number this says which bit of it flips."""
        self.before_arrival: Callable[[bytes], None] = lambda data: None
        """Told what is about to arrive, before it is damaged by number."""
        self.fired: Counter[str] = Counter()
        """How often the plug was pulled, or a byte damaged, at one of these."""
        self.watch = watch
        self.turns = 0
        self.delivered_bytes = 0
        self.trace = hashlib.sha256()
        """What arrived where and when: equal for equal seeds."""
        self._lengths_only = lengths_only
        self._arrivals: list[tuple[float, int, bool, bytes]] = []
        self._serial = 0

    @property
    def under_way_bytes(self) -> int:
        """Sent and not yet arrived, both ways."""
        return sum(len(data) for _, _, _, data in self._arrivals)

    def unplug(self) -> None:
        """What is under way is lost, and whatever is sent until `plug`."""
        self.is_plugged = False
        self.rightward.lose()
        self.leftward.lose()
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
        if data and self.is_plugged:
            self._under_way(wire.carry(data, self.now), to_left=to_left)

    def _under_way(self, arrivals: list[tuple[float, bytes]], *, to_left: bool) -> None:
        for at, chunk in arrivals:
            self._serial += 1
            heapq.heappush(self._arrivals, (at, self._serial, to_left, chunk))

    def _move_on(self, until: float) -> None:
        due = (self.left.deadline(), self.right.deadline(), self.rightward.due_at, self.leftward.due_at)
        wakes = [wake for wake in due if wake is not None]
        if self._arrivals:
            wakes.append(self._arrivals[0][0])
        idle_until = self.now + IDLE_S if until == inf else until
        self.now = max(self.now, min(min(wakes, default=idle_until), until))
        self._under_way(self.rightward.due(self.now), to_left=False)
        self._under_way(self.leftward.due(self.now), to_left=True)
        while self._arrivals and self._arrivals[0][0] <= self.now:
            at, _, to_left, data = heapq.heappop(self._arrivals)
            self._deliver(data, at, to_left=to_left)

    def _deliver(self, data: bytes, at: float, *, to_left: bool) -> None:
        self.before_arrival(data)
        is_last = bool(self.unplug_at) and self.delivered_bytes + len(data) >= self.unplug_at[0]
        if is_last:
            data = data[: self.unplug_at.pop(0) - self.delivered_bytes]
        carried_bytes = len(data)
        if self.damage_at:
            data = self._damaged(data)
        shown = str(len(data)) if self._lengths_only else data.hex()
        self.trace.update(f"{at} {to_left} {shown}\n".encode())
        self.delivered_bytes += carried_bytes
        target = self.left if to_left else self.right
        target.receive(data, self.now)
        if self.watch is not None:
            self.watch(data, to_left)
        if is_last:
            self.fired["unplug"] += 1
            self.unplug()

    def _damaged(self, data: bytes) -> bytes:
        places = range(self.delivered_bytes + 1, self.delivered_bytes + 1 + len(data))
        struck = [(kind, sorted(numbers.intersection(places))) for kind, numbers in self.damage_at.items()]
        if not any(numbers for _, numbers in struck):
            return data
        out = [bytes((one,)) for one in data]
        for kind, numbers in struck:
            for number in numbers:
                self.fired[kind] += 1
                place = number - places.start
                out[place] = DAMAGE[kind](out[place], bit_of(number, self.luck))
        return b"".join(out)


def bit_of(number: int, luck: int) -> int:
    """Which bit of byte ``number`` flips: all eight in turn, whether each byte is struck or one in eight."""
    return (number + number // 8 + luck) % 8

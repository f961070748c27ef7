"""One fault at every byte of one session: the plug pulled behind it, the byte lost or doubled, each bit of it flipped.

All of them are judged, few are run. Two faults in one packet differ only in what the receiving end's frame decoder
makes of the bytes; where that is the same (`tape`), one run shows how both go. One in ``check_of`` of those
that need no run is run all the same, and has to go as was said; with 1, all of them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Final

from posdecom_simulator.world.faults import Fault, FaultPlan
from posdecom_simulator.world.line import BYTE_FLIPPED, DAMAGE, bit_of

from .run import Result, World, decommission
from .scene import scene
from .shrink import encode_plan
from .tape import Arrival, Tape

SEED: Final = 1
RECORDS: Final = 3
"""A reversal and two sales, in two contexts."""
MODES: Final = {
    "unplug": Fault.UNPLUG,
    "drop": Fault.BYTE_DROPPED,
    "flip": Fault.BYTE_FLIPPED,
    "duplicate": Fault.BYTE_TWICE,
}
BITS: Final = 8
CHECK_OF: Final = 499


@dataclass(frozen=True, slots=True)
class Slice:
    """Of the bytes one in ``every``, and which one by ``offset``."""

    every: int = 1
    offset: int = 0

    def __contains__(self, number: int) -> bool:
        return (number - self.offset) % self.every == 0


def offset_of_today(every: int) -> int:
    """Another one tomorrow, and every one within ``every`` days."""
    return int(time.time() // 86_400) % every


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault at one byte."""

    fault: Fault
    number: int
    bit: int = 0
    """Where it flips one."""

    @property
    def plan(self) -> FaultPlan:
        luck = (self.bit - bit_of(self.number, 0)) % BITS if self.fault == BYTE_FLIPPED else 0
        return FaultPlan(at={self.fault: frozenset({self.number})}, luck=luck)

    @property
    def replay(self) -> str:
        """The command that runs it."""
        return (
            f"posdecom-sim world --seed {SEED} --records {RECORDS} --tier A --plan '{encode_plan(self.plan)}'"
        )

    def leaves(self, arrival: Arrival) -> bytes:
        """What arrives instead."""
        at = self.number - arrival.first
        if self.fault is Fault.UNPLUG:
            return arrival.data[: at + 1]
        struck = DAMAGE[self.fault](arrival.data[at : at + 1], self.bit)
        return arrival.data[:at] + struck + arrival.data[at + 1 :]


@dataclass(frozen=True, slots=True)
class Course:
    """One session, run."""

    tape: Tape
    events: str
    """SHA-256 over every event and when it was."""
    result: Result | None
    failure: str = ""

    def goes_as(self, other: Course) -> bool:
        """Whether nobody but the wire could tell the two apart."""
        return self.way == other.way and self.events == other.events

    @property
    def way(self) -> tuple[object, ...]:
        one = self.result
        if one is None:
            return (self.failure,)
        return one.state, one.runs, one.steps, one.seconds, one.troubles, tuple(sorted(one.checked.items()))


@dataclass(frozen=True, slots=True)
class Failed:
    strike: Strike
    reason: str


@dataclass(slots=True)
class Totals:
    """What strikes amount to; of one packet, of many."""

    judged: Counter[Fault] = field(default_factory=Counter)
    run: Counter[Fault] = field(default_factory=Counter)
    checked: Counter[Fault] = field(default_factory=Counter)
    """Run, though nothing else could come of them than of another."""
    ways: set[tuple[object, ...]] = field(default_factory=set)
    failed: list[Failed] = field(default_factory=list)

    def __iadd__(self, other: Totals) -> Totals:
        self.judged += other.judged
        self.run += other.run
        self.checked += other.checked
        self.ways |= other.ways
        self.failed += other.failed
        return self

    def lines(self, seconds: float) -> Iterator[str]:
        """For people."""
        for fault, judged in self.judged.items():
            alike = judged - self.run[fault]
            yield (
                f"{fault:<13}{judged:>7} sessions: {self.run[fault]} run, {alike} proved to go as one of these,"
                f" of which {self.checked[fault]} were run all the same"
            )
        judged, run = self.judged.total(), self.run.total() + self.checked.total()
        yield f"together     {judged:>7} sessions, {run} of them run, in {len(self.ways)} ways, in {seconds:.0f} s"
        yield f"failed       {len(self.failed):>7}"


def run_course(plan: FaultPlan) -> Course:
    """The session with ``plan``, taped."""
    tape, failure, result = Tape(), "", None
    with tape.recording():
        world = World(SEED, scene(SEED, RECORDS), plan, "A")
        tape.listen(world.line)
        try:
            result = decommission(world)
        except Exception as error:  # noqa: BLE001 - whatever a session meets is what it was run for
            failure = f"{type(error).__name__}: {error}"
    struck = Counter({fault: len(numbers) for fault, numbers in plan.at.items()})
    if result is not None and result.fired != struck:
        failure = f"{dict(result.fired)} struck instead of {dict(struck)}"
    return Course(tape, world.events.hexdigest(), result, failure)


@lru_cache(maxsize=1)
def clean() -> Course:
    """The session to which nothing happens."""
    return run_course(FaultPlan())


def packets() -> int:
    """In how many packets the bytes of the session arrive."""
    return len(clean().tape.arrivals)


def session_bytes() -> int:
    last = clean().tape.arrivals[-1]
    return last.first + len(last.data) - 1


def strike_everywhere(
    faults: Sequence[Fault], which: Slice, jobs: int = 1, check_of: int = CHECK_OF
) -> Totals:
    """``faults`` at each byte of the session that is in ``which``."""
    strike = partial(strike_packet, faults=faults, which=which, check_of=check_of)
    if jobs == 1:
        return _sum(map(strike, range(packets())))
    with ProcessPoolExecutor(jobs) as pool:
        return _sum(pool.map(strike, range(packets())))


def strike_packet(place: int, faults: Sequence[Fault], which: Slice, check_of: int) -> Totals:
    """The same at the bytes of one packet."""
    arrival = clean().tape.arrivals[place]
    numbers = [
        number for number in range(arrival.first, arrival.first + len(arrival.data)) if number in which
    ]
    totals = Totals()
    plugged, unplugged = [clean()], list[Course]()
    for fault in faults:
        known = unplugged if fault is Fault.UNPLUG else plugged
        for strike in (strike for number in numbers for strike in _strikes(fault, number)):
            _judge(strike, place, known, totals, check_of)
    return totals


# --- private ------------------------------------------------------------------------------------------------------


def _strikes(fault: Fault, number: int) -> Iterable[Strike]:
    return (Strike(fault, number, bit) for bit in range(BITS if fault is Fault.BYTE_FLIPPED else 1))


def _judge(strike: Strike, place: int, known: list[Course], totals: Totals, check_of: int) -> None:
    data = strike.leaves(clean().tape.arrivals[place])
    totals.judged[strike.fault] += 1
    course = next((one for one in known if one.tape.would_answer(place, data)), None)
    if course is None:
        course = run_course(strike.plan)
        known.append(course)
        totals.run[strike.fault] += 1
        totals.ways.add(course.way)
    elif (strike.number * BITS + strike.bit) % check_of == 0:
        totals.checked[strike.fault] += 1
        again = run_course(strike.plan)
        if not again.goes_as(course):
            totals.failed.append(Failed(strike, f"went otherwise than was proved {again.failure}".strip()))
    if course.failure:
        totals.failed.append(Failed(strike, course.failure))


def _sum(parts: Iterable[Totals]) -> Totals:
    totals = Totals()
    for part in parts:
        totals += part
    return totals

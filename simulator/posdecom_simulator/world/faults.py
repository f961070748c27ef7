"""What goes wrong in one run: drawn from one seed, written in one line, counted when it strikes.

A fault that strikes at events is given by their numbers: "the 17th change of the terminal's memory". So a run with one
fault at one place is written as easily as a storm, and places can be enumerated. Each seed switches on a random
subset of kinds and exaggerates some (swarm testing): what hides behind a fault is met where that fault is off.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from . import line
from .line import SILENCE, Noise


class Fault(StrEnum):
    __hash__ = str.__hash__  # fate counts by it at every event, and an enum's own is written in Python

    # noise, by chance a byte or chunk
    FLIP = "flip"
    DROP = "drop"
    DUPLICATE = "duplicate"
    DELAY = "delay"
    GARBAGE = "garbage"
    REPLAY = "replay"
    # by time
    STALL = "stall"
    """The line swallows everything for a while."""
    SPEED_MISMATCH = "speed mismatch"
    """The ends differ in speed for a while: as many bytes arrive, of no meaning."""
    SLOW_DRIP = "slow drip"
    """For a while the line carries next to nothing."""
    # by the number of an event
    UNPLUG = "unplug"
    """Events: bytes delivered."""
    POWER_CUT = "power cut"
    """Events: changes of the terminal's memory; the one that is named does not happen."""
    FLASH_CUT = "flash cut"
    """Events: operations of the memory's chips (program, erase, write); the power fails in this one, before, at its end
    or in between."""
    TAMPER = "tamper"
    """Events: operations of the chips, and times that the terminal says something: its tamper circuit strikes, once."""
    CLOCK_RESET = "clock reset"
    """Events: boots of a terminal that is frozen or further; its clock then begins in 1970."""
    CLOCK_AHEAD = "clock ahead"
    """Events: the same; its clock is years ahead."""
    LAPTOP_BEHIND = "laptop clock behind"
    """Events: starts of the agent after the freeze; its clock is years behind while this process lives..."""
    LAPTOP_AHEAD = "laptop clock ahead"
    OTHER_LAPTOP = "other laptop"
    """Events: starts of the agent; from now on another laptop goes on, with its own journal."""
    SECOND_AGENT = "second agent"
    """Events: what the agent asks of line, host and desk; before it another laptop takes the cable and runs the same
    command, from its own journal."""
    KILL_BEFORE = "kill before"
    """Events: appends to the journal; the agent dies before it is durable..."""
    KILL_AFTER = "kill after"
    """... or after."""
    OLD_JOURNAL = "old journal"
    """Events: starts of the agent after a death; it finds an older copy of its journal."""
    DISK_FULL = "disk full"
    """Events: reservations of disk space."""
    KILL_UNSYNCED_LOST = "kill, unsynced lost"
    """Events: calls of the agent's disk; power and process are gone, and what was not synced is lost..."""
    KILL_UNSYNCED_KEPT = "kill, unsynced kept"
    """... or is there, as when the process alone was killed..."""
    KILL_UNSYNCED_SHUFFLED = "kill, unsynced shuffled"
    """... or is there in single sectors, in any order, the last of them torn."""
    DISK_EIO = "disk EIO"
    """Events: calls of the agent's disk; this one fails."""
    DISK_ENOSPC = "disk ENOSPC"
    DISK_SHORT_WRITE = "disk short write"
    """Events: writes to the agent's disk."""
    CONNECT_REFUSED = "connect refused"
    """Events: connections to the host."""
    ACQUIRER_RESTART = "acquirer restart"
    """Events: connections to the host; host and desk have only their books and shelf then."""
    HOST_CUT = "host cut"
    """Events: messages to the host; the connection breaks before this one arrives..."""
    ANSWER_LOST = "answer lost"
    """... or after it was booked."""
    HOST_SILENT = "host silent"
    """Booked, and no answer though the connection stands."""
    ANSWER_LATE = "answer late"
    """So late that the agent has asked again."""
    ANSWER_TWICE = "answer twice"
    HOST_CONTRADICTS = "host contradicts itself"
    """Events: answers of the host; before it the opposite is said."""
    HOST_REFUSES = "host refuses"
    """Events: advices that the host judges."""
    HOST_DISAGREES = "host disagrees"
    """Events: card groups of which the host compares totals."""
    HOST_BEHIND = "host clock behind"
    """Events: messages to the host; its clock is years behind in this one..."""
    HOST_AHEAD = "host clock ahead"
    DESK_AWAY = "desk away"
    """Events: calls to the desk; nobody is there..."""
    DESK_ANSWER_LOST = "desk answer lost"
    """... or what it did is not heard of."""
    DESK_BEHIND = "desk clock behind"
    """Events: calls to the desk; its clock is years behind in this one..."""
    DESK_AHEAD = "desk clock ahead"
    BYTE_FLIPPED = line.BYTE_FLIPPED
    """Events: bytes delivered; one bit of this one, by its number and the plan's luck..."""
    BYTE_DROPPED = line.BYTE_DROPPED
    """... or it does not arrive..."""
    BYTE_TWICE = line.BYTE_TWICE
    """... or arrives twice."""


CHANCES: Final[Mapping[Fault, int]] = MappingProxyType(
    {
        Fault.UNPLUG: 14_000,
        Fault.POWER_CUT: 110,
        Fault.FLASH_CUT: 200,
        Fault.TAMPER: 220,
        Fault.CLOCK_RESET: 3,
        Fault.CLOCK_AHEAD: 3,
        Fault.LAPTOP_BEHIND: 3,
        Fault.LAPTOP_AHEAD: 3,
        Fault.OTHER_LAPTOP: 3,
        Fault.SECOND_AGENT: 90,
        Fault.KILL_BEFORE: 45,
        Fault.KILL_AFTER: 45,
        Fault.OLD_JOURNAL: 3,
        Fault.DISK_FULL: 1,
        Fault.KILL_UNSYNCED_LOST: 200,
        Fault.KILL_UNSYNCED_KEPT: 200,
        Fault.KILL_UNSYNCED_SHUFFLED: 200,
        Fault.DISK_EIO: 200,
        Fault.DISK_ENOSPC: 200,
        Fault.DISK_SHORT_WRITE: 130,
        Fault.CONNECT_REFUSED: 4,
        Fault.ACQUIRER_RESTART: 4,
        Fault.HOST_CUT: 14,
        Fault.ANSWER_LOST: 14,
        Fault.HOST_SILENT: 14,
        Fault.ANSWER_LATE: 14,
        Fault.ANSWER_TWICE: 14,
        Fault.HOST_CONTRADICTS: 14,
        Fault.HOST_BEHIND: 14,
        Fault.HOST_AHEAD: 14,
        Fault.HOST_REFUSES: 2,
        Fault.HOST_DISAGREES: 4,
        Fault.DESK_AWAY: 4,
        Fault.DESK_ANSWER_LOST: 3,
        Fault.DESK_BEHIND: 4,
        Fault.DESK_AHEAD: 4,
        Fault.BYTE_FLIPPED: 14_000,
        Fault.BYTE_DROPPED: 14_000,
        Fault.BYTE_TWICE: 14_000,
    }
)
"""How many events of each kind a run of five records without faults has, about: places are drawn evenly below it."""

NOISE_MAX: Final[Mapping[Fault, float]] = MappingProxyType(
    {
        Fault.FLIP: 1e-3,
        Fault.DROP: 1e-3,
        Fault.DUPLICATE: 0.03,
        Fault.DELAY: 0.02,
        Fault.GARBAGE: 0.05,
        Fault.REPLAY: 0.1,
    }
)
RECOVERY_OPERATIONS: Final = 12
"""A power cut inside an operation is followed by another one while the terminal recovers, or soon after."""
LUCK_MAX: Final = 2**16
STALL_S_MAX: Final = 8.0
"""Exaggerated, longer than either end waits before it gives a connection up."""
RUN_S: Final = 6.0
"""How long a run without faults takes at 115,200 baud, about."""
EXAGGERATION: Final = 5
SWITCHED_ON: Final = 0.3
EXAGGERATED: Final = 0.2


@dataclass(frozen=True, slots=True)
class FaultPlan:
    noise: Noise = SILENCE
    stalls: tuple[tuple[float, float], ...] = ()
    """From, to: seconds since the run began."""
    mismatches: tuple[tuple[float, float], ...] = ()
    drips: tuple[tuple[float, float], ...] = ()
    """The same, of the line's other bad times."""
    at: Mapping[Fault, frozenset[int]] = field(default_factory=dict)
    """Numbers of the events, from 1, at which a fault strikes."""
    old_journal_share: float = 0.5
    """How much of the journal an older copy has."""
    luck: int = 0
    """Which sectors of the agent's disk survive where they are shuffled, which bit of a byte is flipped, how an
    operation of a chip ends in which the power fails, and what a tamper reaches."""

    @property
    def tamper_reaches_identity(self) -> bool:
        """Else the secure element keeps its keys, as when a battery is empty."""
        return bool(random.Random(f"tamper {self.luck}").getrandbits(1))

    @classmethod
    def only(cls, fault: Fault, *numbers: int) -> FaultPlan:
        """One kind of fault, at these of its events."""
        return cls(at={fault: frozenset(numbers)})

    def __str__(self) -> str:
        """One line, only what is on."""
        noise = [
            f"{one.name} {getattr(self.noise, one.name):.2g}"
            for one in fields(self.noise)
            if one.name in NOISE_MAX and getattr(self.noise, one.name)
        ]
        spells = {"stall": self.stalls, Fault.SPEED_MISMATCH: self.mismatches, Fault.SLOW_DRIP: self.drips}
        stalls = [f"{name} {start:.2f}-{end:.2f} s" for name, times in spells.items() for start, end in times]
        events = [f"{fault} at {', '.join(map(str, sorted(numbers)))}" for fault, numbers in self.at.items()]
        if Fault.OLD_JOURNAL in self.at:
            events.append(f"of which {self.old_journal_share:.0%} are there")
        return "; ".join(noise + stalls + events) or "no faults"


_SPELLS: Final = (Fault.STALL, Fault.SPEED_MISMATCH, Fault.SLOW_DRIP)


def draw(chance: random.Random) -> FaultPlan:
    noise: dict[str, float] = {}
    at: dict[Fault, frozenset[int]] = {}
    spells: dict[Fault, tuple[tuple[float, float], ...]] = {}
    for fault in Fault:
        if chance.random() >= SWITCHED_ON:
            continue
        scale = EXAGGERATION if chance.random() < EXAGGERATED else 1
        if fault in NOISE_MAX:
            noise[fault.value] = NOISE_MAX[fault] / EXAGGERATION * scale * chance.random()
        elif fault in _SPELLS:
            spells[fault] = tuple(_stall(chance, scale) for _ in range(1 + chance.randrange(2)))
        else:
            count = 1 + chance.randrange(2 * scale)
            numbers = [1 + chance.randrange(CHANCES[fault]) for _ in range(count)]
            if fault is Fault.FLASH_CUT:
                numbers += [number + 1 + chance.randrange(RECOVERY_OPERATIONS) for number in numbers]
            at[fault] = frozenset(numbers)
    quality = Noise(**noise)  # type: ignore[arg-type]  # no name in NOISE_MAX is that of a length
    stalls, mismatches, drips = (spells.get(fault, ()) for fault in _SPELLS)
    return FaultPlan(quality, stalls, mismatches, drips, at, chance.random(), chance.randrange(LUCK_MAX))


def _stall(chance: random.Random, scale: int) -> tuple[float, float]:
    start = RUN_S * chance.random()
    return start, start + STALL_S_MAX * scale * chance.random()


class Fate:
    """A plan while it is carried out: asked at every event, and keeping count."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self.seen: Counter[str] = Counter()
        """Events so far, by the fault that might have struck."""
        self.fired: Counter[str] = Counter()
        self.is_quiet = False
        """From now on nothing strikes."""

    def strikes(self, fault: Fault) -> bool:
        self.seen[fault] += 1
        if self.is_quiet or self.seen[fault] not in self.plan.at.get(fault, ()):
            return False
        self.fired[fault] += 1
        return True

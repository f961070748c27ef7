"""The power supply, seen from a memory chip: before each operation it says whether this one still completes.

A supply is a function from `Operation` to None (power holds) or an `Outcome`: then the operation ends that way and
`PowerCut` is raised. What a cut leaves of an operation is a mixture of the cells before and after it; three mixtures
stand for all: the first half changed, the second half changed, every second bit changed.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from mmap import mmap
from typing import Final, NamedTuple, TypeAlias

from posdecom_protocol.errors import PosdecomError

Cells: TypeAlias = bytearray | mmap
"""The cells of one chip: in memory, or the bytes of a file."""


class PowerCut(PosdecomError):
    """The supply failed: nothing after the last completed change happened."""


class MemoryFull(PosdecomError):
    """A chip has no room for another value."""


class Action(Enum):
    PROGRAM = "program"
    ERASE = "erase"
    WRITE = "write"
    """Of memory that is overwritten freely: SRAM and secure element."""


class Operation(NamedTuple):
    region: str
    action: Action
    start: int
    size_bytes: int


class Outcome(Enum):
    """How an operation ends at which the power fails."""

    COMPLETE = "complete"
    NOTHING = "nothing"
    TORN_FIRST_HALF = "first half"
    TORN_SECOND_HALF = "second half"
    TORN_BITS = "every second bit"


Supply: TypeAlias = Callable[[Operation], Outcome | None]


def steady(_: Operation) -> Outcome | None:
    """A supply that never fails."""
    return None


def change(cells: Cells, operation: Operation, after: bytes, supply: Supply) -> None:
    """Make the cells of ``operation`` hold ``after``, as far as ``supply`` lets it. `PowerCut` where it does not."""
    start, end = operation.start, operation.start + operation.size_bytes
    outcome = supply(operation)
    if outcome is None:
        cells[start:end] = after
        return
    cells[start:end] = left_behind(outcome, bytes(cells[start:end]), after)
    raise PowerCut(f"{operation.region}: {operation.action.value}, {outcome.value}")


_EVEN: Final = 0x55
_ODD: Final = 0xAA


def left_behind(outcome: Outcome, before: bytes, after: bytes) -> bytes:
    """What cells hold that were to go from ``before`` to ``after`` (of one length) when the power failed."""
    half = len(before) // 2
    match outcome:
        case Outcome.COMPLETE:
            return after
        case Outcome.NOTHING:
            return before
        case Outcome.TORN_FIRST_HALF:
            return after[:half] + before[half:]
        case Outcome.TORN_SECOND_HALF:
            return before[:half] + after[half:]
        case Outcome.TORN_BITS:
            return bytes(old & _EVEN | new & _ODD for old, new in zip(before, after, strict=True))

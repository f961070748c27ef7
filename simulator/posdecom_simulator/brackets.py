"""When a sale that nobody heard of at the time was made: between its two neighbours that the acquirer did hear of.

Records are numbered in the order of their making, whatever the terminal's clock said. An online one has the
acquirer's time (the terminal keeps date and time of the answer, as real ones do), so an offline one that stands
behind an online sale from after the cut-off is from after it too, and one in front of an online sale from before it is
from before. Only between the last online sale before and the first one after nothing is known: there the terminal's
clock is the only evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeVar

Time = TypeVar("Time", int, str)
"""Seconds since 1970, or YYMMDDhhmmss; both in UTC, never mixed."""


class When(Enum):
    BEFORE = "before the cut-off"
    AFTER = "after the cut-off"
    UNKNOWN = "between the neighbours on both sides of the cut-off"


def place(records: Iterable[tuple[int, Time | None]], cutoff: Time) -> dict[int, When]:
    """``records``: number and the acquirer's time, None of an offline one; any order. Gives back the offline ones.

    >>> {number: when.name for number, when in place([(1, 10), (2, None), (3, 20), (4, None)], 15).items()}
    {2: 'UNKNOWN', 4: 'AFTER'}
    """
    ordered = sorted(records, key=lambda record: record[0])
    behind_late = _reached(ordered, lambda at: at >= cutoff)
    before_early = _reached(reversed(ordered), lambda at: at < cutoff)
    return {
        number: _when(number in behind_late, number in before_early) for number, at in ordered if at is None
    }


def _reached(records: Iterable[tuple[int, Time | None]], is_met: Callable[[Time], bool]) -> set[int]:
    """The offline ones that come after an online one for which ``is_met``."""
    found: set[int] = set()
    met = False
    for number, at in records:
        if at is None and met:
            found.add(number)
        met = met or (at is not None and is_met(at))
    return found


def _when(is_late: bool, is_early: bool) -> When:
    """Both at once is an acquirer whose own clock went back: nothing is known."""
    if is_late == is_early:
        return When.UNKNOWN
    return When.AFTER if is_late else When.BEFORE

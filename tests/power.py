"""Power that fails where a test wants it, and every state that a memory could be left in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posdecom_simulator.memory.image import Image
from posdecom_simulator.memory.supply import Operation, Outcome, left_behind

CUTS = (Outcome.COMPLETE, Outcome.TORN_FIRST_HALF, Outcome.TORN_SECOND_HALF, Outcome.TORN_BITS)
"""Nothing of an operation is what a completed one before leaves."""


@dataclass
class CutAt:
    """A supply that fails at its ``nth`` operation, in the way of ``outcome``."""

    nth: int
    outcome: Outcome
    count: int = 0

    def __call__(self, _: Operation) -> Outcome | None:
        self.count += 1
        return self.outcome if self.count == self.nth else None


class EveryCut:
    """A supply that never fails, but tells ``left`` of each state that a failure would have left of ``image``.

    A torn operation that leaves what it found, or what it was to leave, is not told twice: one byte has no half.
    """

    def __init__(self, image: Image, left: Callable[[int, Outcome, Image], None]) -> None:
        self.operations = 0
        self._image = image
        self._left = left
        self._pending: tuple[Operation, Image] | None = None

    def __call__(self, operation: Operation) -> None:
        self.settle()
        self.operations += 1
        self._pending = operation, self._image.copy()

    def settle(self) -> None:
        """The last operation is done: what could have been left of it is known."""
        if self._pending is None:
            return
        (region, _, start, size), before = self._pending
        self._pending = None
        place = slice(start, start + size)
        after = bytes(self._image.cells[region][place])
        known = {bytes(before.cells[region][place])}
        for outcome in CUTS:
            cells = left_behind(outcome, bytes(before.cells[region][place]), after)
            if cells not in known or outcome is Outcome.COMPLETE:
                known.add(cells)
                left = before.copy()
                left.cells[region][place] = cells
                self._left(self.operations, outcome, left)

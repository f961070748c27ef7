"""The life of a terminal, as a table. This file does not know who asks for a transition, nor why it is allowed."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from .errors import LocalError


class LifecycleState(IntEnum):
    """Wire values; one durable write leads from each to the next."""

    ACTIVE = 1
    """Trading."""
    FROZEN = 2
    """An order was accepted: no sale any more, the seal is made and fixed."""
    SETTLED = 3
    """A receipt over that seal was verified and stored."""
    EXCEPTED = 4
    """An exception signed by two acquirer keys over that seal was verified and stored."""
    ERASING = 5
    """The intent is durable: every boot finishes the erase before it serves one byte."""
    ERASED = 6
    """Every slot but the identity reads back empty; the evidence is signed and stored."""
    RETIRED = 7
    """The identity is gone too. Serves its proofs in the clear, for ever."""
    BLANK = 8
    """Like RETIRED, but the identity was kept: a maker-signed bind may provision it again."""


TRANSITIONS: Final[dict[LifecycleState, frozenset[LifecycleState]]] = {
    LifecycleState.ACTIVE: frozenset({LifecycleState.FROZEN}),
    LifecycleState.FROZEN: frozenset(
        {LifecycleState.SETTLED, LifecycleState.EXCEPTED, LifecycleState.ACTIVE}
    ),
    LifecycleState.SETTLED: frozenset({LifecycleState.ERASING}),
    LifecycleState.EXCEPTED: frozenset({LifecycleState.ERASING}),
    LifecycleState.ERASING: frozenset({LifecycleState.ERASED}),
    LifecycleState.ERASED: frozenset({LifecycleState.RETIRED, LifecycleState.BLANK}),
    LifecycleState.RETIRED: frozenset(),
    LifecycleState.BLANK: frozenset({LifecycleState.ACTIVE}),
}
"""An absent entry is an error. FROZEN > ACTIVE is a cancellation, BLANK > ACTIVE a maker-signed bind."""

PROOFS_IN_CLEAR: Final = frozenset({LifecycleState.RETIRED, LifecycleState.BLANK})
"""States in which order, seal, receipts and evidence are served to anyone, byte for byte."""


def step(state: LifecycleState, target: LifecycleState) -> LifecycleState:
    """Return ``target`` if the table allows it from ``state``; `LocalError` if not."""
    if target not in TRANSITIONS[state]:
        raise LocalError(f"lifecycle: {state.name} > {target.name} is not in the table")
    return target

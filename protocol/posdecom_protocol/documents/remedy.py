"""Remedy: what a person states was done about money that is held; part of a certificate, and never called proof."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..money import Tally
from ..schema import Choice, Field, Record, Text
from .kinds import CONTEXT_INDEX, NAME, TALLY, TIME


class Held(IntEnum):
    """Why somebody has to follow it."""

    WITHHELD = 1
    """Sold offline after the cut-off and never sent: goods are gone, nobody was charged."""
    SOLD_LATE = 2
    """Sold online after the cut-off and settled: somebody was charged."""
    REFUND = 3
    """Given back, and not yet through; the acquirer counts these itself, in each closure."""


class Means(IntEnum):
    CHARGED_AGAIN = 1
    """On another terminal."""
    RETURNED = 2
    """By the bank."""
    AGREED = 3
    """With the customer, for a date."""


@dataclass(frozen=True, slots=True)
class Remedy:
    held: Held
    context: int
    tally: Tally
    """How much of what is held it closes, in the context's currency."""
    means: Means
    by: str
    """Who says so."""
    stated_at: int
    reference: str
    """Where it can be looked up: a receipt, a letter, a case of the bank."""
    agreed_for: int | None = None
    """The date agreed with the customer; there with AGREED and with nothing else."""


REMEDY: Final = Record(
    Remedy,
    {
        1: Field("held", Choice(Held)),
        2: Field("context", CONTEXT_INDEX),
        3: Field("tally", TALLY),
        4: Field("means", Choice(Means)),
        5: Field("by", NAME),
        6: Field("stated_at", TIME),
        7: Field("reference", Text(120)),
        8: Field("agreed_for", TIME, optional=True),
    },
)

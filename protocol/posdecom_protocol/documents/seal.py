"""Seal: the terminal states what it was frozen with. Nothing that it says can change afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..limits import CONTEXTS_MAX, ITEMS_MAX, PREAUTHS_MAX
from ..money import GroupTotals, Tally, TransactionClass
from ..schema import Choice, Field, Many, Record, Text, Whole
from .kinds import (
    BATCH,
    CHALLENGE,
    CONTEXT_INDEX,
    CURRENCY,
    DIGEST,
    GROUP_TOTALS,
    SERIAL,
    TALLY,
    TIME,
    VERSION,
    VERSION_KIND,
)

CLOCK_OFFSET_S_MAX: Final = 200 * 366 * 86_400
"""A dead battery gives a clock that is decades off; more than two centuries is nonsense."""


class Tamper(IntEnum):
    INTACT = 0
    TAMPERED = 1


@dataclass(frozen=True, slots=True)
class ClassCount:
    transaction_class: TransactionClass
    tally: Tally


@dataclass(frozen=True, slots=True)
class SealedContext:
    """One (acquirer, MID, TID, currency, batch) with all that it holds."""

    index: int
    acquirer: str
    mid: str
    tid: str
    currency: int
    batch: int
    dialect: str
    classes: tuple[ClassCount, ...]
    totals: tuple[GroupTotals, ...]
    item_first: int
    item_last: int
    """Sequence numbers of its items, both inclusive. Without items ``item_first`` is the number that its first item
    would have had, 1 to item_count + 1, and ``item_last`` the one before."""

    @property
    def has_items(self) -> bool:
        return self.item_first <= self.item_last

    @property
    def is_empty(self) -> bool:
        """No transaction of any class, no total and no item: nothing to settle and nothing to agree about."""
        counted = any(count.tally != Tally() for count in self.classes)
        totalled = any(group.debit != Tally() or group.credit != Tally() for group in self.totals)
        return not (counted or totalled or self.has_items)


@dataclass(frozen=True, slots=True)
class OpenPreauth:
    """In no total and in no upload: money that is still held on a card."""

    context: int
    stan: int
    amount: int
    local_time: str
    first6: str
    last4: str
    auth_code: str


@dataclass(frozen=True, slots=True)
class Seal:
    serial: str
    order_digest: bytes
    challenge: bytes
    """Fresh for every freeze; burnt by a cancellation."""
    sealed_at: int
    """By the terminal's clock: evidence, never authority."""
    clock_offset_s: int
    """The terminal's clock minus the agent's when the order arrived."""
    boot_count: int
    tamper: Tamper
    contexts: tuple[SealedContext, ...]
    item_count: int
    head: bytes
    """Hash chain over all items (records.py)."""
    preauths: tuple[OpenPreauth, ...]
    version: int = VERSION


def item_ranges_hold(seal: Seal) -> bool:
    """Whether the contexts share out the items 1 to ``item_count`` between them, in their order, with none over."""
    ends = [0, *(context.item_last for context in seal.contexts)]
    starts = [context.item_first for context in seal.contexts]
    return starts == [end + 1 for end in ends[:-1]] and ends == sorted(ends) and ends[-1] == seal.item_count


CLASS_COUNT: Final = Record(
    ClassCount, {1: Field("transaction_class", Choice(TransactionClass)), 2: Field("tally", TALLY)}
)
SEALED_CONTEXT: Final = Record(
    SealedContext,
    {
        1: Field("index", CONTEXT_INDEX),
        2: Field("acquirer", Text(32)),
        3: Field("mid", Text(15)),
        4: Field("tid", Text(8)),
        5: Field("currency", CURRENCY),
        6: Field("batch", BATCH),
        7: Field("dialect", Text(16)),
        8: Field("classes", Many(CLASS_COUNT, len(TransactionClass))),
        9: Field("totals", Many(GROUP_TOTALS, 2)),
        10: Field("item_first", Whole(ITEMS_MAX + 1, low=1)),
        11: Field("item_last", Whole(ITEMS_MAX)),
    },
)
OPEN_PREAUTH: Final = Record(
    OpenPreauth,
    {
        1: Field("context", CONTEXT_INDEX),
        2: Field("stan", Whole(999_999)),
        3: Field("amount", Whole(10**12 - 1)),
        4: Field("local_time", Text(12)),
        5: Field("first6", Text(6)),
        6: Field("last4", Text(4)),
        7: Field("auth_code", Text(6, empty=True)),
    },
)
SEAL: Final = Record(
    Seal,
    {
        1: Field("version", VERSION_KIND),
        2: Field("serial", SERIAL),
        3: Field("order_digest", DIGEST),
        4: Field("challenge", CHALLENGE),
        5: Field("sealed_at", TIME),
        6: Field("clock_offset_s", Whole(CLOCK_OFFSET_S_MAX, low=-CLOCK_OFFSET_S_MAX)),
        7: Field("boot_count", Whole(2**32 - 1)),
        8: Field("tamper", Choice(Tamper)),
        9: Field("contexts", Many(SEALED_CONTEXT, CONTEXTS_MAX)),
        10: Field("item_count", Whole(ITEMS_MAX)),
        11: Field("head", DIGEST),
        12: Field("preauths", Many(OPEN_PREAUTH, PREAUTHS_MAX)),
    },
)

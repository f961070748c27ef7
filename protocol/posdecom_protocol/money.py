"""Money as the batch counts it: integers in minor units, classes of transactions, totals per card group.

Debit and credit are the merchant's view of UnionPay field 48: debit is what the card holder pays (sale,
completion, offline sale, adjustment), credit what goes back (refund, void of a sale or completion).
Pre-authorisations and declined chip transactions are in no total.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, assert_never


class TransactionClass(IntEnum):
    SALE = 1
    VOID = 2
    REFUND = 3
    OFFLINE_SALE = 4
    ADJUSTMENT = 5
    PREAUTH = 6
    COMPLETION = 7
    COMPLETION_VOID = 8
    REVERSAL = 9
    """An authorisation whose outcome the terminal never learned; the reversal is still to be sent."""
    DECLINED = 10
    """EMV AAC: kept for the acquirer, no money moved."""


class CardGroup(IntEnum):
    DOMESTIC = 0
    FOREIGN = 1


class Side(IntEnum):
    DEBIT = 1
    CREDIT = 2
    NEITHER = 3


SIDE: Final[dict[TransactionClass, Side]] = {
    TransactionClass.SALE: Side.DEBIT,
    TransactionClass.OFFLINE_SALE: Side.DEBIT,
    TransactionClass.ADJUSTMENT: Side.DEBIT,
    TransactionClass.COMPLETION: Side.DEBIT,
    TransactionClass.VOID: Side.CREDIT,
    TransactionClass.REFUND: Side.CREDIT,
    TransactionClass.COMPLETION_VOID: Side.CREDIT,
    TransactionClass.PREAUTH: Side.NEITHER,
    TransactionClass.REVERSAL: Side.NEITHER,
    TransactionClass.DECLINED: Side.NEITHER,
}

AMOUNT_MAX: Final = 999_999_999_999
"""Field 4 and the totals have twelve digits."""

COUNT_MAX: Final = 999
"""The counters in fields 48 and 63 have three digits."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many, and how much in minor units."""

    count: int = 0
    amount: int = 0

    def plus(self, amount: int) -> Tally:
        return Tally(self.count + 1, self.amount + amount)

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.count + other.count, self.amount + other.amount)


@dataclass(frozen=True, slots=True)
class GroupTotals:
    """Debit and credit of one card group of one context."""

    group: CardGroup
    debit: Tally = Tally()
    credit: Tally = Tally()

    def plus(self, transaction_class: TransactionClass, amount: int) -> GroupTotals:
        """These totals with one more transaction; classes on neither side change nothing."""
        side = SIDE[transaction_class]
        match side:
            case Side.DEBIT:
                return GroupTotals(self.group, self.debit.plus(amount), self.credit)
            case Side.CREDIT:
                return GroupTotals(self.group, self.debit, self.credit.plus(amount))
            case Side.NEITHER:
                return self
            case _:
                assert_never(side)

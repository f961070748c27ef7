"""What a shop sold before its terminal leaves service: a pure function of seed, count, contexts and start.

The list is plain data and the only thing that an oracle needs. From it alone follow, with no other code:

- totals of a context and card group: sum over transactions of the context and group, `money.SIDE` says on which side;
  voids and their originals both count, an adjustment counts its own (additional) amount;
- the host's books before the visit: every transaction with ``posted``;
- the host's books after a complete visit: the same, plus every offline sale and adjustment, minus every reversal;
- chip data that the acquirer must have: of every DECLINED, and of every SALE and OFFLINE_SALE that has some;
- open pre-authorisations: every PREAUTH that no COMPLETION names as its original.

The same arguments give the same list on every Python: only `random.Random.random` is used, whose sequence for a
seed is promised not to change, and integers. Card numbers are made up: published test prefixes, Luhn-valid.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from posdecom_protocol.errors import LocalError
from posdecom_protocol.limits import PREAUTHS_MAX, RECORDS_PER_CONTEXT_MAX
from posdecom_protocol.money import CardGroup, TransactionClass

from .chip import CRYPTOGRAM_OF, chip_data
from .terminal.device import Context

_T = TypeVar("_T")

TRADING_S: Final = 14 * 3600
"""From the first sale to the last at the latest."""

STAN_SHIFT_MAX: Final = 700_000
"""Transaction 1 has a STAN up to here, so that numbers and STANs are never mistaken for each other."""

_PREFIXES: Final = {
    CardGroup.DOMESTIC: (("62000000", 16), ("62000001", 19), ("62000002", 17)),
    CardGroup.FOREIGN: (("40000000", 16), ("52000000", 16), ("37000000", 15)),
}
_FOREIGN_PERCENT: Final = 20
_ALREADY_SENT_PERCENT: Final = 25
"""Of the offline sales, those whose advice went out before the freeze."""
_HOST_COMMITTED_PERCENT: Final = 50
"""Of the pending reversals, those whose authorisation the host had booked when its answer was lost."""

_MIX_PER_MILLE: Final = (
    (TransactionClass.SALE, 620),
    (TransactionClass.DECLINED, 25),
    (TransactionClass.OFFLINE_SALE, 160),
    (TransactionClass.VOID, 40),
    (TransactionClass.REFUND, 40),
    (TransactionClass.ADJUSTMENT, 35),
    (TransactionClass.PREAUTH, 35),
    (TransactionClass.COMPLETION, 25),
    (TransactionClass.REVERSAL, 10),
    (TransactionClass.COMPLETION_VOID, 10),
)
_CHIP_PERCENT: Final = 40
"""Of sales and reversals, those by chip; what was declined was by chip, or it would not be kept."""
_CHIP_STREAM: Final = 0x9F26
"""Chips draw from a sequence of their own, so that what is sold does not depend on what they say."""
_AMOUNTS_PERCENT: Final = (((100, 9_999), 70), ((10_000, 99_999), 25), ((100_000, 500_000), 5))

_ORIGINAL_OF: Final = {
    TransactionClass.VOID: TransactionClass.SALE,
    TransactionClass.ADJUSTMENT: TransactionClass.OFFLINE_SALE,
    TransactionClass.COMPLETION: TransactionClass.PREAUTH,
    TransactionClass.COMPLETION_VOID: TransactionClass.COMPLETION,
}
_OFFLINE: Final = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction as the card saw it. Lives in the simulator only: the card number is in it."""

    number: int
    """1, 2, 3... in the order of time over all contexts."""
    context: int
    """`Context.index`."""
    transaction_class: TransactionClass
    card_number: str = field(repr=False)
    expiry: str
    """YYMM."""
    group: CardGroup
    amount: int
    """Minor units. Of an adjustment: what is added to its original. Of a void: all of its original."""
    stan: int
    rrn: str
    """12 characters from the host; blanks where the host has not answered."""
    auth_code: str
    """6 characters; empty where the outcome is unknown (REVERSAL) or none was given (DECLINED)."""
    local_time: str
    """YYMMDDhhmmss, UTC: of the host's answer, or by the terminal's clock where there was none."""
    posted: bool
    """The host has it in its books already. Of a REVERSAL: the host had booked the sale that is to be reversed."""
    original: int | None
    """Number of the transaction that a void, adjustment or completion is about, in the same context."""
    chip_data: bytes = field(default=b"", repr=False)
    """Field 55; empty where no chip took part."""


def populate(
    seed: int, count: int, contexts: Sequence[Context], business_start_s: int, clock_error_s: int = 0
) -> tuple[Transaction, ...]:
    """``count`` transactions from ``business_start_s`` (seconds since 1970) on.

    ``clock_error_s``: how far the terminal's clock is ahead of the acquirer's. It shows in what was made offline only,
    for the record of what went online has the time of the host's answer.

    `LocalError` when they do not fit: no context holds more than `RECORDS_PER_CONTEXT_MAX`, so no counter overflows.
    """
    if count > RECORDS_PER_CONTEXT_MAX * len(contexts):
        raise LocalError(f"{count} transactions in {len(contexts)} contexts of {RECORDS_PER_CONTEXT_MAX}")
    return tuple(_Shop(seed, count, contexts, business_start_s, clock_error_s).trade(count))


class _Shop:
    """The state of the day while transactions are made up one after the other."""

    def __init__(
        self, seed: int, count: int, contexts: Sequence[Context], business_start_s: int, clock_error_s: int
    ) -> None:
        self._random = random.Random(seed)
        self._chips = random.Random(seed * 65_536 + _CHIP_STREAM)
        self._contexts = contexts
        self._records = [0] * len(contexts)
        self._preauths = 0
        self._time = datetime.fromtimestamp(business_start_s, UTC)
        self._clock_error = timedelta(seconds=clock_error_s)
        self._gap_s_max = max(1, 2 * TRADING_S // (3 * max(1, count)))
        self._stan_shift = self._below(STAN_SHIFT_MAX)
        self._free: dict[tuple[int, TransactionClass], list[Transaction]] = {}
        """Transactions that a later one may still name as its original."""

    def trade(self, count: int) -> Iterator[Transaction]:
        for number in range(1, count + 1):
            self._time += timedelta(seconds=1 + self._below(self._gap_s_max))
            position = self._open_context()
            self._records[position] += 1
            context = self._contexts[position]
            transaction = self._with_chip(self._transaction(number, context.index), context)
            self._free.setdefault((transaction.context, transaction.transaction_class), []).append(
                transaction
            )
            yield transaction

    def _transaction(self, number: int, context: int) -> Transaction:
        chosen = self._weighted(_MIX_PER_MILLE)
        original = self._take_original(context, chosen)
        if chosen in _ORIGINAL_OF and original is None:
            chosen = TransactionClass.SALE
        if chosen is TransactionClass.PREAUTH:
            self._preauths += 1
            chosen = TransactionClass.SALE if self._preauths > PREAUTHS_MAX else chosen
        group, card, expiry = self._card() if original is None else _card_of(original)
        answered = chosen not in _OFFLINE and chosen is not TransactionClass.REVERSAL
        return Transaction(
            number=number,
            context=context,
            transaction_class=chosen,
            card_number=card,
            expiry=expiry,
            group=group,
            amount=self._amount(chosen, original),
            stan=self._stan_shift + number,
            rrn=self._rrn() if answered else " " * 12,
            auth_code=self._auth_code(chosen),
            local_time=(self._time if answered else self._time + self._clock_error).strftime("%y%m%d%H%M%S"),
            posted=(answered and chosen is not TransactionClass.DECLINED) or self._is_posted(chosen),
            original=None if original is None else original.number,
        )

    def _with_chip(self, one: Transaction, context: Context) -> Transaction:
        is_chip = int(self._chips.random() * 100) < _CHIP_PERCENT
        if one.transaction_class not in CRYPTOGRAM_OF:
            return one
        if one.transaction_class is not TransactionClass.DECLINED and not is_chip:
            return one
        data = chip_data(
            lambda count: bytes(int(self._chips.random() * 256) for _ in range(count)),
            one.transaction_class,
            card_prefix=one.card_number[:2],
            amount=one.amount,
            currency=context.currency,
            stan=one.stan,
            local_time=one.local_time,
            tid=context.tid,
        )
        return replace(one, chip_data=data)

    def _auth_code(self, chosen: TransactionClass) -> str:
        if chosen is TransactionClass.REVERSAL:
            return ""
        code = self._digits(6)
        return "" if chosen is TransactionClass.DECLINED else code

    def _open_context(self) -> int:
        """Position of a context that is not full, the first ones busier than the last."""
        wanted = min(self._below(len(self._contexts)), self._below(len(self._contexts)))
        order = [(wanted + step) % len(self._contexts) for step in range(len(self._contexts))]
        return next(position for position in order if self._records[position] < RECORDS_PER_CONTEXT_MAX)

    def _take_original(self, context: int, chosen: TransactionClass) -> Transaction | None:
        wanted = _ORIGINAL_OF.get(chosen)
        free = self._free.get((context, wanted), []) if wanted is not None else []
        return free.pop(self._below(len(free))) if free else None

    def _is_posted(self, chosen: TransactionClass) -> bool:
        match chosen:
            case TransactionClass.OFFLINE_SALE:
                return self._percent(_ALREADY_SENT_PERCENT)
            case TransactionClass.REVERSAL:
                return self._percent(_HOST_COMMITTED_PERCENT)
            case _:
                return False

    def _amount(self, chosen: TransactionClass, original: Transaction | None) -> int:
        if original is None:
            low, high = self._weighted(_AMOUNTS_PERCENT)
            return low + self._below(high - low + 1)
        if chosen is TransactionClass.ADJUSTMENT:
            return 1 + original.amount * (5 + self._below(16)) // 100
        if chosen is TransactionClass.COMPLETION:
            return max(1, original.amount * (80 + self._below(21)) // 100)
        return original.amount

    def _card(self) -> tuple[CardGroup, str, str]:
        group = CardGroup.FOREIGN if self._percent(_FOREIGN_PERCENT) else CardGroup.DOMESTIC
        prefix, length = _PREFIXES[group][self._below(len(_PREFIXES[group]))]
        body = prefix + self._digits(length - len(prefix) - 1)
        expiry = f"{(self._time.year + 1 + self._below(5)) % 100:02d}{1 + self._below(12):02d}"
        return group, body + luhn_digit(body), expiry

    def _rrn(self) -> str:
        return self._time.strftime("%y%j")[1:] + self._digits(8)

    def _below(self, bound: int) -> int:
        return int(self._random.random() * bound)

    def _percent(self, percent: int) -> bool:
        return self._below(100) < percent

    def _digits(self, length: int) -> str:
        return f"{self._below(10**length):0{length}d}"

    def _weighted(self, weights: Sequence[tuple[_T, int]]) -> _T:
        drawn = self._below(sum(weight for _, weight in weights))
        for choice, weight in weights:
            drawn -= weight
            if drawn < 0:
                return choice
        raise AssertionError("weights sum to what was drawn from")


def luhn_digit(body: str) -> str:
    """The check digit that goes behind ``body`` (ISO/IEC 7812-1 annex B).

    >>> luhn_digit("400000000000000")
    '2'
    """
    total = 0
    for position, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if position % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return str(-total % 10)


def _card_of(transaction: Transaction) -> tuple[CardGroup, str, str]:
    return transaction.group, transaction.card_number, transaction.expiry

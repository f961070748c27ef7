"""At freeze: what has to be done about every transaction, and every message that the host may have to get for it.

Per context (compose.py): reversals, voids of open pre-authorisations and refunds where the order says so, advices,
the totals, one upload per transaction that is in the totals, what ends an upload, the sign-off. Nothing is composed
later and nothing twice: a repeat is the same bytes.

Counted in the totals: what the host has or gets before the totals. Not counted: pre-authorisations, reversals, what a
chip declined, and what is withheld, that is offline sales and adjustments after the cut-off that the host has not had
(nobody was charged). Refunds that the order asks for go into the batch and its totals, but are no records.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from posdecom_protocol.documents.order import AfterCutoff, Order, Preauths
from posdecom_protocol.documents.seal import ClassCount, OpenPreauth, SealedContext
from posdecom_protocol.money import SIDE, Side, Tally, TransactionClass
from posdecom_protocol.records import Item, Summary

from ..brackets import When, place
from .compose import Batch, Composer, is_debit, summary_of
from .compose import StanCounter as StanCounter
from .device import Context
from .stored import Keys, StoredTransaction

_OFFLINE: Final = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})
_GIVES_BACK: Final = frozenset(
    {TransactionClass.VOID, TransactionClass.COMPLETION_VOID, TransactionClass.REFUND}
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the order says about money."""

    cutoff_local_time: str
    """YYMMDDhhmmss, UTC; what carries this time or a later one was sold after the cut-off."""
    after_cutoff: AfterCutoff
    preauths: Preauths

    @classmethod
    def from_order(cls, order: Order) -> Rules:
        return cls(_cutoff(order.cutoff_at), order.after_cutoff, order.preauths)


def _cutoff(at: int) -> str:
    """Records carry two digits of the year, all of this century: a cut-off outside it is before, or after, them all."""
    cutoff = datetime.fromtimestamp(at, UTC)
    if cutoff.year < 2000:
        return "0" * 12
    return "9" * 12 if cutoff.year > 2099 else cutoff.strftime("%y%m%d%H%M%S")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the seal is made of."""

    items: tuple[Item, ...]
    """Number 1 first, over all contexts."""
    contexts: tuple[SealedContext, ...]
    """``classes`` counts every record; ``totals`` is what the 0500 says. Empty, its last item is before its first."""
    preauths: tuple[OpenPreauth, ...]
    """In the order of their records, whether the order voids them or not."""
    withheld: tuple[Summary, ...]


def prepare(
    contexts: Sequence[Context],
    transactions: Sequence[StoredTransaction],
    keys: Keys,
    stans: StanCounter,
    rules: Rules,
) -> Prepared:
    """Spend one KSN per item. `LocalError` when a batch does not fit the three-digit counters."""
    items: list[Item] = []
    sealed: list[SealedContext] = []
    preauths: list[OpenPreauth] = []
    withheld: list[Summary] = []
    records: dict[int, list[StoredTransaction]] = {context.index: [] for context in contexts}
    for one in transactions:
        records[one.context].append(one)
    stans.avoid(one.stan for one in transactions)
    late = _sold_after(transactions, rules.cutoff_local_time)
    for context in contexts:
        batch = _sort(records[context.index], late, rules, stans)
        composed = Composer(context, keys, stans).compose(batch)
        sealed.append(_sealed(context, batch, len(items), len(composed)))
        items += composed
        preauths += [_open_preauth(one) for one in batch.open_preauths]
        withheld += [summary_of(one, context) for one in batch.withheld]
    return Prepared(tuple(items), tuple(sealed), tuple(preauths), tuple(withheld))


def _sold_after(transactions: Sequence[StoredTransaction], cutoff: str) -> set[int]:
    """By number. What the host answered has the host's time; the terminal's own clock counts only where no two of those
    say on which side of the cut-off a sale between them was made."""
    online = [one for one in transactions if one.transaction_class not in _OFFLINE and one.is_answered]
    times = {one.number: one.local_time for one in online}
    placed = place([(one.number, times.get(one.number)) for one in transactions], cutoff)
    by_clock = {one.number for one in transactions if one.local_time >= cutoff}
    known = {number for number, when in placed.items() if when is not When.UNKNOWN}
    late = {number for number, when in placed.items() if when is When.AFTER}
    return late | (by_clock - known)


def _sort(
    records: Sequence[StoredTransaction], after: Collection[int], rules: Rules, stans: StanCounter
) -> Batch:
    given_back = {one.original for one in records if one.transaction_class in _GIVES_BACK}
    completed = {one.original for one in records if one.transaction_class is TransactionClass.COMPLETION}
    unsent = [one for one in records if _is_money(one) and not one.posted]
    withheld = [one for one in unsent if one.number in after and one.transaction_class in _OFFLINE]
    preauths = [one for one in records if one.transaction_class is TransactionClass.PREAUTH]
    open_preauths = [one for one in preauths if one.number not in completed]
    refundable = [one for one in records if one.number in after and one.posted and is_debit(one)]
    if rules.after_cutoff is AfterCutoff.HOLD:
        refundable = []
    refunds = [_refund(one, stans) for one in refundable if one.number not in given_back]
    kept_back = {one.number for one in withheld}
    return Batch(
        records={one.number: one for one in records},
        reversals=[one for one in records if one.transaction_class is TransactionClass.REVERSAL],
        open_preauths=open_preauths,
        voided_preauths=open_preauths if rules.preauths is Preauths.VOID else [],
        advices=[one for one in unsent if one.number not in kept_back],
        refunds=refunds,
        counted=[one for one in records if one.number not in kept_back and _is_money(one)] + refunds,
        withheld=withheld,
        declined=[one for one in records if one.transaction_class is TransactionClass.DECLINED],
    )


def _is_money(one: StoredTransaction) -> bool:
    return SIDE[one.transaction_class] is not Side.NEITHER


def _refund(sale: StoredTransaction, stans: StanCounter) -> StoredTransaction:
    return sale.given_back(sale.number, stans.next(), posted=True)


def _sealed(context: Context, batch: Batch, items_before: int, items: int) -> SealedContext:
    classes: dict[TransactionClass, Tally] = {}
    for one in batch.records.values():
        classes[one.transaction_class] = classes.get(one.transaction_class, Tally()).plus(one.amount)
    return SealedContext(
        index=context.index,
        acquirer=context.acquirer,
        mid=context.mid,
        tid=context.tid,
        currency=context.currency,
        batch=context.batch,
        dialect=context.dialect,
        classes=tuple(ClassCount(kind, classes[kind]) for kind in sorted(classes)),
        totals=batch.totals,
        item_first=items_before + 1,
        item_last=items_before + items,
    )


def _open_preauth(one: StoredTransaction) -> OpenPreauth:
    return OpenPreauth(
        context=one.context,
        stan=one.stan,
        amount=one.amount,
        local_time=one.local_time,
        first6=one.first6,
        last4=one.last4,
        auth_code=one.auth_code,
    )

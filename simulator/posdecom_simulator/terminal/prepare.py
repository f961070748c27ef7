"""At freeze: every message that the conversation with the host may need, in the order in which it may go out.

Per context, with the terminal's own STANs and MACs: reversals, voids of open pre-authorisations and refunds where
the order says so, offline advices, the totals, one upload per transaction that is in the totals, both ends of an
upload, the sign-off. Nothing is composed later and nothing twice: a repeat is the same bytes.

A message about one transaction names it by that transaction's own STAN: as field 11 of its advice, in field 61 of
a reversal, void or refund, in field 48 of an upload. All other messages take new STANs.

Counted in the totals: what the host has or gets before the totals. Not counted: pre-authorisations, reversals, and
what is withheld, that is offline sales and adjustments after the cut-off that the host has not had (nobody was
charged). Refunds that the order asks for go into the batch and its totals, but are no records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from posdecom_protocol.data_elements import (
    MESSAGE_TYPE,
    NETWORK_CODE_END_BALANCED,
    NETWORK_CODE_END_UNBALANCED,
    NETWORK_CODE_NONE,
    NETWORK_CODE_SIGN_OFF,
    NETWORK_CODE_TOTALS,
    BatchReference,
    BatchTotals,
    MessageType,
    Original,
    UploadDetail,
    masked_number,
    upload_count,
)
from posdecom_protocol.documents.order import AfterCutoff, Order, Preauths
from posdecom_protocol.documents.seal import ClassCount, OpenPreauth, SealedContext
from posdecom_protocol.iso8583 import FieldMap, IsoMessage, seal
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, Tally, TransactionClass
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import Item, ItemKind, Summary

from .device import Context
from .stored import Keys, StoredTransaction

TPDU: Final = bytes.fromhex("6000030000")
HEADER: Final = "603100310001"
"""Magnetic stripe class, version 31, ready, no demand."""

STAN_MAX: Final = 999_999

_OPERATOR: Final = "01 "
_ENTRY_MODE: Final = "021"
"""Magnetic stripe, no PIN."""
_NO_ANSWER: Final = "98"
"""Field 39 of a reversal: why."""
_GIVE: Final = "000000"
_GIVE_BACK: Final = "200000"
"""Processing codes: purchase, and its opposite."""

_OFFLINE: Final = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})
_VOIDS: Final = frozenset({TransactionClass.VOID, TransactionClass.COMPLETION_VOID})


@dataclass(frozen=True, slots=True)
class Rules:
    """What the order says about money."""

    cutoff_local_time: str
    """YYMMDDhhmmss by the terminal's clock; what carries this time or a later one was sold after the cut-off."""
    after_cutoff: AfterCutoff
    preauths: Preauths

    @classmethod
    def from_order(cls, order: Order) -> Rules:
        cutoff = datetime.fromtimestamp(order.cutoff_at, UTC).strftime("%y%m%d%H%M%S")
        return cls(cutoff, order.after_cutoff, order.preauths)


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


class StanCounter:
    """The terminal's STANs: 1 to 999999 and round again."""

    def __init__(self, last: int) -> None:
        self.last = last

    def next(self) -> int:
        self.last = self.last % STAN_MAX + 1
        return self.last


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
    for context in contexts:
        batch = _sort(records[context.index], rules, stans)
        composed = _Composer(context, keys, stans).compose(batch)
        sealed.append(_sealed(context, batch, len(items), len(composed)))
        items += composed
        preauths += [_open_preauth(one) for one in batch.open_preauths]
        withheld += [_summary(one, context) for one in batch.withheld]
    return Prepared(tuple(items), tuple(sealed), tuple(preauths), tuple(withheld))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The transactions of one context, sorted out by what has to be done about them."""

    records: dict[int, StoredTransaction]
    reversals: list[StoredTransaction]
    open_preauths: list[StoredTransaction]
    voided_preauths: list[StoredTransaction]
    advices: list[StoredTransaction]
    refunds: list[StoredTransaction]
    """New transactions; ``original`` is the sale, ``number`` too."""
    counted: list[StoredTransaction]
    withheld: list[StoredTransaction]

    @property
    def totals(self) -> tuple[GroupTotals, GroupTotals]:
        return _totals(CardGroup.DOMESTIC, self.counted), _totals(CardGroup.FOREIGN, self.counted)


def _sort(records: Sequence[StoredTransaction], rules: Rules, stans: StanCounter) -> _Batch:
    voided = {one.original for one in records if one.transaction_class in _VOIDS}
    completed = {one.original for one in records if one.transaction_class is TransactionClass.COMPLETION}
    after = {one.number for one in records if one.local_time >= rules.cutoff_local_time}
    unsent = [one for one in records if _is_money(one) and not one.posted]
    withheld = [one for one in unsent if one.number in after and one.transaction_class in _OFFLINE]
    preauths = [one for one in records if one.transaction_class is TransactionClass.PREAUTH]
    open_preauths = [one for one in preauths if one.number not in completed]
    refundable = [one for one in records if one.number in after and one.posted and _is_debit(one)]
    if rules.after_cutoff is AfterCutoff.HOLD:
        refundable = []
    refunds = [_refund(one, stans) for one in refundable if one.number not in voided]
    kept_back = {one.number for one in withheld}
    return _Batch(
        records={one.number: one for one in records},
        reversals=[one for one in records if one.transaction_class is TransactionClass.REVERSAL],
        open_preauths=open_preauths,
        voided_preauths=open_preauths if rules.preauths is Preauths.VOID else [],
        advices=[one for one in unsent if one.number not in kept_back],
        refunds=refunds,
        counted=[one for one in records if one.number not in kept_back and _is_money(one)] + refunds,
        withheld=withheld,
    )


class _Composer:
    """Makes the messages of one context."""

    def __init__(self, context: Context, keys: Keys, stans: StanCounter) -> None:
        self._context = context
        self._keys = keys
        self._stans = stans
        self._currency = f"{context.currency:03d}"

    def compose(self, batch: _Batch) -> list[Item]:
        """The items in the order in which the host may get them; none for an empty batch."""
        if not batch.records:
            return []
        return [
            *map(self._reversal, batch.reversals),
            *map(self._preauth_void, batch.voided_preauths),
            *map(partial(self._advice, batch.records), batch.advices),
            *map(partial(self._refund, batch.records), batch.refunds),
            self._batch_totals(batch.totals),
            *map(self._upload, batch.counted),
            self._end(ItemKind.END_BALANCED, NETWORK_CODE_END_BALANCED, 0),
            self._end(ItemKind.END_UNBALANCED, NETWORK_CODE_END_UNBALANCED, len(batch.counted)),
            self._sign_off(),
        ]

    def _reversal(self, sale: StoredTransaction) -> Item:
        fields = self._about(sale) | {3: _GIVE, 11: self._stan(), 39: _NO_ANSWER}
        fields |= {60: self._reference(MessageType.SALE), 61: self._original(sale)}
        return self._item(ItemKind.REVERSAL, "0400", fields, sale)

    def _preauth_void(self, preauth: StoredTransaction) -> Item:
        fields = self._about(preauth) | {3: _GIVE_BACK, 11: self._stan(), 38: preauth.auth_code}
        fields |= {60: self._reference(MessageType.PREAUTH_VOID), 61: self._original(preauth)}
        return self._item(ItemKind.PREAUTH_VOID, "0400", fields, preauth)

    def _advice(self, records: dict[int, StoredTransaction], sale: StoredTransaction) -> Item:
        direction = _GIVE if _is_debit(sale) else _GIVE_BACK
        fields = self._about(sale) | {3: direction, 11: f"{sale.stan:06d}", 38: sale.auth_code}
        fields |= {12: sale.local_time[6:], 13: sale.local_time[2:6]}
        fields |= {60: self._reference(MESSAGE_TYPE[sale.transaction_class])}
        if sale.original is not None:
            fields[61] = self._original(records[sale.original])
        return self._item(ItemKind.ADVICE, "0220", fields, sale)

    def _refund(self, records: dict[int, StoredTransaction], refund: StoredTransaction) -> Item:
        fields = self._about(refund) | {3: _GIVE_BACK, 11: f"{refund.stan:06d}", 38: refund.auth_code}
        fields |= {60: self._reference(MessageType.REFUND), 61: self._original(records[refund.number])}
        return self._item(ItemKind.REFUND, "0220", fields, refund)

    def _batch_totals(self, totals: tuple[GroupTotals, GroupTotals]) -> Item:
        fields: FieldMap = {
            11: self._stan(),
            48: BatchTotals(totals).encode(),
            49: self._currency,
            60: self._reference(MessageType.NONE, NETWORK_CODE_TOTALS),
            63: _OPERATOR,
        }
        return self._item(ItemKind.TOTALS, "0500", fields, None)

    def _upload(self, one: StoredTransaction) -> Item:
        masked = masked_number(one.first6, one.last4, one.card_digits)
        fields: FieldMap = {
            11: self._stan(),
            48: UploadDetail(one.group, one.stan, masked, one.amount).encode(),
            49: self._currency,
            57: one.account_data,
            60: self._reference(MESSAGE_TYPE[one.transaction_class], NETWORK_CODE_TOTALS),
        }
        return self._item(ItemKind.UPLOAD, "0320", fields, one)

    def _end(self, kind: ItemKind, network_code: int, uploads: int) -> Item:
        reference = self._reference(MessageType.NONE, network_code)
        return self._item(kind, "0320", {11: self._stan(), 48: upload_count(uploads), 60: reference}, None)

    def _sign_off(self) -> Item:
        reference = self._reference(MessageType.NONE, NETWORK_CODE_SIGN_OFF)
        return self._item(ItemKind.SIGN_OFF, "0820", {11: self._stan(), 60: reference}, None)

    def _item(self, kind: ItemKind, mti: str, fields: FieldMap, about: StoredTransaction | None) -> Item:
        ksn, keys = self._keys.next_message_keys()
        identity: FieldMap = {41: self._context.tid, 42: self._context.mid, 53: ksn.encode()}
        with keys:
            data = seal(IsoMessage(TPDU, HEADER, mti, {**fields, **identity}), partial(cmac8, keys.mac))
        summary = None if about is None else _summary(about, self._context)
        return Item(kind, self._context.index, summary, data)

    def _about(self, one: StoredTransaction) -> dict[int, str | bytes]:
        """The fields that every message about one transaction has."""
        return {
            4: f"{one.amount:012d}",
            22: _ENTRY_MODE,
            25: "00",
            49: self._currency,
            57: one.account_data,
        }

    def _stan(self) -> str:
        return f"{self._stans.next():06d}"

    def _reference(self, kind: MessageType, network_code: int = NETWORK_CODE_NONE) -> str:
        return BatchReference(kind, self._context.batch, network_code).encode()

    def _original(self, one: StoredTransaction) -> str:
        return Original(self._context.batch, one.stan, one.local_time[2:6]).encode()


def _is_money(one: StoredTransaction) -> bool:
    return SIDE[one.transaction_class] is not Side.NEITHER


def _is_debit(one: StoredTransaction) -> bool:
    return SIDE[one.transaction_class] is Side.DEBIT


def _refund(sale: StoredTransaction, stans: StanCounter) -> StoredTransaction:
    return replace(sale, transaction_class=TransactionClass.REFUND, stan=stans.next(), original=sale.number)


def _totals(group: CardGroup, counted: Iterable[StoredTransaction]) -> GroupTotals:
    totals = GroupTotals(group)
    for one in counted:
        if one.group is group:
            totals = totals.plus(one.transaction_class, one.amount)
    return totals


def _sealed(context: Context, batch: _Batch, items_before: int, items: int) -> SealedContext:
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


def _summary(one: StoredTransaction, context: Context) -> Summary:
    return Summary(
        record=one.number,
        transaction_class=one.transaction_class,
        group=one.group,
        stan=one.stan,
        rrn=one.rrn,
        amount=one.amount,
        currency=context.currency,
        local_time=one.local_time,
        first6=one.first6,
        last4=one.last4,
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

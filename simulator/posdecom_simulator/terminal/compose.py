"""The messages of one context, each with a STAN, a KSN and a MAC of the terminal's own.

Which messages a dialect has, and in which order the host may get them, is the table `COMPOSITIONS`; a part of it is a
method that makes none, one or many of them.

A message about one transaction names it by that transaction's own STAN: as field 11 of its advice, in field 61 of a
reversal, void or refund, in field 48 (cup) or 62 (edc, and cup with chip data) of an upload. All other messages take
new STANs.

Chip data (field 55) go with every message about a chip transaction that tells the host of it: its reversal, its
advice, its upload. What went online before the visit had an ARQC then; the cryptogram that ended it (TC, or AAC where
it was declined) follows in a message of its own: in ``cup`` after the totals, as 203 and 204 where they balance, as
205 (the upload itself) and 206 where they do not; in ``edc`` before the totals, because those may close the batch.

Deviations of ``edc`` from what its hosts print: field 60 is the batch reference as in ``cup``, so the original MTI and
STAN of an upload stand in field 62; a void counts as credit beside its sale, as everywhere in this terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final, TypeAlias

from posdecom_protocol.data_elements import (
    MESSAGE_TYPE,
    NETWORK_CODE_CHIP_BALANCED,
    NETWORK_CODE_CHIP_UNBALANCED,
    NETWORK_CODE_DECLINED_BALANCED,
    NETWORK_CODE_DECLINED_UNBALANCED,
    NETWORK_CODE_END_BALANCED,
    NETWORK_CODE_END_UNBALANCED,
    NETWORK_CODE_NONE,
    NETWORK_CODE_SIGN_OFF,
    NETWORK_CODE_TOTALS,
    PROCESSING_CHIP_PROOF,
    PROCESSING_SETTLEMENT,
    PROCESSING_SETTLEMENT_AFTER_UPLOAD,
    BatchReference,
    BatchSums,
    BatchTotals,
    ChipDetail,
    MessageType,
    Original,
    OriginalMessage,
    UploadDetail,
    masked_number,
    upload_count,
)
from posdecom_protocol.iso8583 import FieldMap, IsoMessage, seal
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, TransactionClass
from posdecom_protocol.protection import cmac8
from posdecom_protocol.records import Item, ItemKind, Summary

from .device import Context
from .stored import Keys, StoredTransaction

TPDU: Final = bytes.fromhex("6000030000")
HEADER: Final = "603100310001"
"""Magnetic stripe class, version 31, ready, no demand."""
CHIP_HEADER: Final = "61" + HEADER[2:]
"""Of messages with chip data."""

STAN_MAX: Final = 999_999

_OPERATOR: Final = "01 "
_ENTRY_MODE: Final = "021"
"""Magnetic stripe, PIN."""
_ENTRY_MODE_CHIP: Final = "051"
_NO_ANSWER: Final = "98"
"""Field 39 of a reversal: why."""
_GIVE: Final = "000000"
_GIVE_BACK: Final = "200000"
"""Processing codes: purchase, and its opposite."""

_ONLINE, _OFFLINE = "0200", "0220"

_MADE_OFFLINE: Final = (TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT)
_OF_PREAUTHS: Final = (TransactionClass.COMPLETION, TransactionClass.COMPLETION_VOID)


class StanCounter:
    """The terminal's STANs: 1 to 999999 and round again, past those that a stored transaction has.

    Within a batch a STAN stands for one message and one transaction: a host refuses the second one for ever.
    """

    def __init__(self, last: int) -> None:
        self.last = last
        self._taken: frozenset[int] = frozenset()

    def avoid(self, taken: Iterable[int]) -> None:
        """Give none of these: at most 64 * 999, so there always is another."""
        self._taken = frozenset(taken)

    def next(self) -> int:
        self.last = self.last % STAN_MAX + 1
        while self.last in self._taken:
            self.last = self.last % STAN_MAX + 1
        return self.last


@dataclass(frozen=True, slots=True)
class Batch:
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
    declined: list[StoredTransaction]

    @property
    def proven(self) -> list[StoredTransaction]:
        """Approved online with a chip: its TC is still to be delivered. An offline one's is in its advice."""
        sale = TransactionClass.SALE
        return [one for one in self.counted if one.transaction_class is sale and one.is_chip]

    @property
    def totals(self) -> tuple[GroupTotals, GroupTotals]:
        return _totals(CardGroup.DOMESTIC, self.counted), _totals(CardGroup.FOREIGN, self.counted)


class Composer:
    """Makes the messages of one context."""

    def __init__(self, context: Context, keys: Keys, stans: StanCounter) -> None:
        self._context = context
        self._keys = keys
        self._stans = stans
        self._currency = f"{context.currency:03d}"

    def compose(self, batch: Batch) -> list[Item]:
        """The items in the order in which the host may get them; none for an empty batch."""
        if not batch.records:
            return []
        composed = [item for part in COMPOSITIONS[self._context.dialect] for item in part(self, batch)]
        return composed + [self._withheld(one) for one in batch.withheld]

    def _withheld(self, one: StoredTransaction) -> Item:
        """For the desk and the merchant to see one by one. Nobody was charged, and with no message nobody can be."""
        return Item(ItemKind.WITHHELD, self._context.index, summary_of(one, self._context), b"")

    # --- parts of every dialect

    def _reversals(self, batch: Batch) -> Iterable[Item]:
        for sale in batch.reversals:
            fields = self._about(sale) | {3: _GIVE, 11: self._stan(), 39: _NO_ANSWER}
            fields |= {60: self._reference(MessageType.SALE), 61: self._original(sale)} | self._chip(sale)
            yield self._item(ItemKind.REVERSAL, "0400", fields, sale)

    def _preauth_voids(self, batch: Batch) -> Iterable[Item]:
        for preauth in batch.voided_preauths:
            fields = self._about(preauth) | {3: _GIVE_BACK, 11: self._stan(), 38: preauth.auth_code}
            fields |= {60: self._reference(MessageType.PREAUTH_VOID), 61: self._original(preauth)}
            yield self._item(ItemKind.PREAUTH_VOID, "0400", fields, preauth)

    def _advices(self, batch: Batch) -> Iterable[Item]:
        for sale in batch.advices:
            fields = self._about(sale) | self._when(sale) | {3: _direction(sale), 11: f"{sale.stan:06d}"}
            fields |= {38: sale.auth_code, 60: self._reference(MESSAGE_TYPE[sale.transaction_class])}
            fields |= self._naming(batch, sale) | self._chip(sale)
            yield self._item(ItemKind.ADVICE, _OFFLINE, fields, sale)

    def _refunds(self, batch: Batch) -> Iterable[Item]:
        for refund in batch.refunds:
            fields = self._about(refund) | {3: _GIVE_BACK, 11: f"{refund.stan:06d}", 38: refund.auth_code}
            fields |= {60: self._reference(MessageType.REFUND)} | self._naming(batch, refund)
            yield self._item(ItemKind.REFUND, _OFFLINE, fields, refund)

    # --- cup

    def _totals_by_group(self, batch: Batch) -> Iterable[Item]:
        fields: FieldMap = {
            11: self._stan(),
            48: BatchTotals(batch.totals).encode(),
            49: self._currency,
            60: self._reference(MessageType.NONE, NETWORK_CODE_TOTALS),
            63: _OPERATOR,
        }
        yield self._item(ItemKind.TOTALS, "0500", fields, None)

    def _details(self, batch: Batch) -> Iterable[Item]:
        for one in sorted(batch.counted, key=_upload_rank):
            if one.transaction_class is TransactionClass.SALE and one.is_chip:
                yield self._chip_record(ItemKind.UPLOAD, NETWORK_CODE_CHIP_UNBALANCED, one)
            else:
                yield self._detail(batch, one)

    def _detail(self, batch: Batch, one: StoredTransaction) -> Item:
        masked = masked_number(one.first6, one.last4, one.card_digits)
        fields = self._naming(batch, one) | {
            11: self._stan(),
            48: UploadDetail(one.group, one.stan, masked, one.amount).encode(),
            49: self._currency,
            57: one.account_data,
            60: self._reference(MESSAGE_TYPE[one.transaction_class], NETWORK_CODE_TOTALS),
        }
        return self._item(ItemKind.UPLOAD, "0320", fields, one)

    def _proofs_balanced(self, batch: Batch) -> Iterable[Item]:
        for one in batch.proven:
            yield self._chip_record(ItemKind.CHIP_PROOF, NETWORK_CODE_CHIP_BALANCED, one)
        for one in batch.declined:
            yield self._chip_record(ItemKind.CHIP_PROOF, NETWORK_CODE_DECLINED_BALANCED, one)

    def _proofs_unbalanced(self, batch: Batch) -> Iterable[Item]:
        for one in batch.declined:
            yield self._chip_record(ItemKind.CHIP_PROOF_UNBALANCED, NETWORK_CODE_DECLINED_UNBALANCED, one)

    def _chip_record(self, kind: ItemKind, network_code: int, one: StoredTransaction) -> Item:
        fields = self._chip(one) | {
            11: self._stan(),
            49: self._currency,
            57: one.account_data,
            60: self._reference(MessageType.SALE, network_code),
            62: ChipDetail(one.group, one.stan, one.amount, self._context.currency).encode(),
        }
        return self._item(kind, "0320", fields, one)

    def _both_ends(self, batch: Batch) -> Iterable[Item]:
        proofs, declined = len(batch.proven) + len(batch.declined), len(batch.declined)
        yield self._end(ItemKind.END_BALANCED, NETWORK_CODE_END_BALANCED, proofs)
        yield self._end(ItemKind.END_UNBALANCED, NETWORK_CODE_END_UNBALANCED, len(batch.counted) + declined)

    def _end(self, kind: ItemKind, network_code: int, uploads: int) -> Item:
        reference = self._reference(MessageType.NONE, network_code)
        return self._item(kind, "0320", {11: self._stan(), 48: upload_count(uploads), 60: reference}, None)

    def _sign_off(self, batch: Batch) -> Iterable[Item]:
        reference = self._reference(MessageType.NONE, NETWORK_CODE_SIGN_OFF)
        yield self._item(ItemKind.SIGN_OFF, "0820", {11: self._stan(), 60: reference}, None)

    # --- edc

    def _settlement(self, batch: Batch) -> Iterable[Item]:
        yield self._settlement_request(ItemKind.TOTALS, PROCESSING_SETTLEMENT, batch)

    def _settlement_after_upload(self, batch: Batch) -> Iterable[Item]:
        yield self._settlement_request(ItemKind.CLOSE, PROCESSING_SETTLEMENT_AFTER_UPLOAD, batch)

    def _settlement_request(self, kind: ItemKind, processing_code: str, batch: Batch) -> Item:
        fields: FieldMap = {
            3: processing_code,
            11: self._stan(),
            49: self._currency,
            60: self._reference(MessageType.NONE),
            63: BatchSums.of(batch.totals).encode(),
        }
        return self._item(kind, "0500", fields, None)

    def _proofs(self, batch: Batch) -> Iterable[Item]:
        for one in (*batch.proven, *batch.declined):
            fields = self._record(one) | {3: PROCESSING_CHIP_PROOF, 60: self._reference(MessageType.SALE)}
            fields |= {62: OriginalMessage(_ONLINE, one.stan).encode()}
            yield self._item(ItemKind.CHIP_PROOF, "0320", fields, one)

    def _records(self, batch: Batch) -> Iterable[Item]:
        advised = {one.stan for one in (*batch.advices, *batch.refunds)}
        for one in batch.counted:
            fields = self._record(one) | self._naming(batch, one)
            fields |= {3: _direction(one), 38: one.auth_code}
            mti = _OFFLINE if one.stan in advised or one.rrn.isspace() else _ONLINE
            fields |= {60: self._reference(MESSAGE_TYPE[one.transaction_class])}
            fields |= {62: OriginalMessage(mti, one.stan).encode()}
            yield self._item(ItemKind.UPLOAD, "0320", fields, one)

    def _record(self, one: StoredTransaction) -> dict[int, str | bytes]:
        return self._about(one) | self._when(one) | self._chip(one) | {11: self._stan()}

    # --- fields

    def _item(self, kind: ItemKind, mti: str, fields: FieldMap, about: StoredTransaction | None) -> Item:
        ksn, keys = self._keys.next_message_keys()
        identity: FieldMap = {41: self._context.tid, 42: self._context.mid, 53: ksn.encode()}
        header = CHIP_HEADER if 55 in fields else HEADER
        with keys:
            data = seal(IsoMessage(TPDU, header, mti, {**fields, **identity}), partial(cmac8, keys.mac))
        summary = None if about is None else summary_of(about, self._context)
        return Item(kind, self._context.index, summary, data)

    def _about(self, one: StoredTransaction) -> dict[int, str | bytes]:
        """The fields that every message about one transaction has."""
        return {
            4: f"{one.amount:012d}",
            22: _ENTRY_MODE_CHIP if one.is_chip else _ENTRY_MODE,
            25: "00",
            49: self._currency,
            57: one.account_data,
        }

    def _chip(self, one: StoredTransaction) -> dict[int, str | bytes]:
        return {55: one.chip_data} if one.is_chip else {}

    def _naming(self, batch: Batch, one: StoredTransaction) -> dict[int, str | bytes]:
        """Field 61, where the original is in the batch; else it was settled with an earlier one."""
        original = batch.records.get(one.original or 0)
        return {} if original is None else {61: self._original(original)}

    def _when(self, one: StoredTransaction) -> dict[int, str | bytes]:
        return {12: one.local_time[6:], 13: one.local_time[2:6]}

    def _stan(self) -> str:
        return f"{self._stans.next():06d}"

    def _reference(self, kind: MessageType, network_code: int = NETWORK_CODE_NONE) -> str:
        return BatchReference(kind, self._context.batch, network_code).encode()

    def _original(self, one: StoredTransaction) -> str:
        return Original(self._context.batch, one.stan, one.local_time[2:6]).encode()


Part: TypeAlias = Callable[[Composer, Batch], Iterable[Item]]

_BEFORE_TOTALS: Final[tuple[Part, ...]] = (
    Composer._reversals,
    Composer._preauth_voids,
    Composer._advices,
    Composer._refunds,
)
COMPOSITIONS: Final[Mapping[str, tuple[Part, ...]]] = MappingProxyType(
    {
        "cup": (
            *_BEFORE_TOTALS,
            Composer._totals_by_group,
            Composer._proofs_balanced,
            Composer._details,
            Composer._proofs_unbalanced,
            Composer._both_ends,
            Composer._sign_off,
        ),
        "edc": (
            *_BEFORE_TOTALS,
            Composer._proofs,
            Composer._settlement,
            Composer._records,
            Composer._settlement_after_upload,
        ),
    }
)
"""By the dialect that stands in the seal."""


def summary_of(one: StoredTransaction, context: Context) -> Summary:
    """What may be shown of a transaction."""
    return one.summary(context.currency)


def is_debit(one: StoredTransaction) -> bool:
    return SIDE[one.transaction_class] is Side.DEBIT


def _upload_rank(one: StoredTransaction) -> int:
    """The order of UnionPay terminals: offline, offline by chip, online, refunds, completions, online by chip."""
    kind = one.transaction_class
    if kind in _MADE_OFFLINE:
        return 1 if one.is_chip else 0
    if kind is TransactionClass.REFUND:
        return 3
    if kind in _OF_PREAUTHS:
        return 4
    return 5 if one.is_chip else 2


def _direction(one: StoredTransaction) -> str:
    return _GIVE if is_debit(one) else _GIVE_BACK


def _totals(group: CardGroup, counted: Iterable[StoredTransaction]) -> GroupTotals:
    totals = GroupTotals(group)
    for one in counted:
        if one.group is group:
            totals = totals.plus(one.transaction_class, one.amount)
    return totals

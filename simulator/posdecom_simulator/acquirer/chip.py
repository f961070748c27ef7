"""What an acquirer can judge about chip data: whether they are about the transaction that they came with.

Not the cryptogram: that is the issuer's to judge, and is kept for a dispute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from posdecom_protocol.chip_data import ChipData, Cryptogram
from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.errors import MessageError
from posdecom_protocol.money import Tally, TransactionClass
from posdecom_protocol.records import ItemKind, Summary

_CRYPTOGRAM: Final = {
    TransactionClass.SALE: Cryptogram.TC,
    TransactionClass.OFFLINE_SALE: Cryptogram.TC,
    TransactionClass.DECLINED: Cryptogram.AAC,
    TransactionClass.REVERSAL: Cryptogram.ARQC,
}
"""By class; all others are made without a chip."""


class Told(NamedTuple):
    """One message of a context about one transaction."""

    kind: ItemKind
    summary: Summary
    field_55: bytes
    """Empty where the message has none."""


def read_chip(field_55: bytes, kind: TransactionClass, amount: int, currency: int) -> ChipData:
    """`MessageError` where they are malformed or about another transaction."""
    data = ChipData.decode(field_55)
    if _CRYPTOGRAM.get(kind) is not data.cryptogram:
        raise MessageError("chip data hold another cryptogram than the transaction needs")
    if (data.amount, data.currency) != (amount, currency):
        raise MessageError("chip data are about another amount or currency")
    return data


def chip_problem(context: SealedContext, messages: Sequence[Told]) -> str | None:
    """What is wrong with the chip data that the seal's messages bring, in words; None if nothing is."""
    for one in messages:
        if one.field_55 and not _is_about(one):
            return "has chip data that are about another transaction"
    proofs = _of(messages, ItemKind.CHIP_PROOF)
    proven = {one.summary for one in proofs if one.summary.transaction_class is not TransactionClass.DECLINED}
    if proven != _sold_by_chip(messages) or not all(one.field_55 for one in proofs):
        return "does not prove every sale by chip once"
    kinds = [ItemKind.CHIP_PROOF, *([ItemKind.CHIP_PROOF_UNBALANCED] if context.dialect == "cup" else [])]
    if any(_declined(_of(messages, kind)) != _sealed_declined(context) for kind in kinds):
        return "does not tell every declined transaction once"
    return None


def _is_about(one: Told) -> bool:
    summary = one.summary
    try:
        data = read_chip(one.field_55, summary.transaction_class, summary.amount, summary.currency)
    except MessageError:
        return False
    return data.date == summary.local_time[:6]


def _of(messages: Iterable[Told], kind: ItemKind) -> list[Told]:
    return [one for one in messages if one.kind is kind]


def _sold_by_chip(messages: Iterable[Told]) -> set[Summary]:
    uploads = _of(messages, ItemKind.UPLOAD)
    sale = TransactionClass.SALE
    return {one.summary for one in uploads if one.field_55 and one.summary.transaction_class is sale}


def _declined(proofs: Iterable[Told]) -> Tally:
    declined = {one.summary for one in proofs if one.summary.transaction_class is TransactionClass.DECLINED}
    return Tally(len(declined), sum(one.amount for one in declined))


def _sealed_declined(context: SealedContext) -> Tally:
    counts = {one.transaction_class: one.tally for one in context.classes}
    return counts.get(TransactionClass.DECLINED, Tally())

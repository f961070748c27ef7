"""Whether a seal counts, class by class, the transactions that its own items tell."""

from __future__ import annotations

from collections.abc import Sequence

from posdecom_protocol.documents.seal import SealedContext
from posdecom_protocol.money import SIDE, Side, Tally, TransactionClass
from posdecom_protocol.records import ItemKind

from .chip import Told


def class_problem(context: SealedContext, messages: Sequence[Told]) -> str | None:
    """What is wrong, in words; None if nothing is. What moves no money is not judged: it is in no total.

    Every record is uploaded or withheld. A refund that the order asks for is uploaded and is no record.
    """
    given_back = {one.summary for one in messages if one.kind is ItemKind.REFUND}
    told: dict[TransactionClass, Tally] = {}
    for kind, summary, _ in messages:
        if kind in (ItemKind.UPLOAD, ItemKind.WITHHELD) and summary not in given_back:
            told[summary.transaction_class] = told.get(summary.transaction_class, Tally()).plus(
                summary.amount
            )
    money = [one for one in context.classes if SIDE[one.transaction_class] is not Side.NEITHER]
    sealed = {one.transaction_class: one.tally for one in money}
    if sealed != told or len(sealed) != len(money):
        return "counts other transactions by class than it uploads and withholds"
    return None

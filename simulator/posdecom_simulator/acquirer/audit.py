"""The desk's own count: what a seal and its items say, checked against each other, the MACs and the books.

Nothing that the agent or the terminal adds up is believed. Totals are computed again from the upload items, every
item's MAC is checked, and each message must be in the books as the host answered it: totals alone would hide errors
that cancel out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE, CODE_UPLOAD, BatchReference
from posdecom_protocol.documents.receipt import Refusal
from posdecom_protocol.documents.seal import Seal, SealedContext
from posdecom_protocol.errors import MessageError, PosdecomError
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, decode
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, Tally, TransactionClass
from posdecom_protocol.records import Item, ItemKind, chain_head, decode_item
from posdecom_protocol.release import Findings

from .books import Source
from .hsm import Hsm
from .ledger import Ledger, Place

_MUST_ARRIVE: Final = frozenset(
    {
        ItemKind.REVERSAL,
        ItemKind.PREAUTH_VOID,
        ItemKind.ADVICE,
        ItemKind.REFUND,
        ItemKind.TOTALS,
        ItemKind.SIGN_OFF,
    }
)
"""Uploads go out only where the totals do not balance, and one of the two ends of an upload never does."""

_ENDS: Final[Mapping[str, frozenset[ItemKind]]] = MappingProxyType(
    {
        "cup": frozenset({ItemKind.END_BALANCED, ItemKind.END_UNBALANCED}),
        "edc": frozenset({ItemKind.TOTALS, ItemKind.CLOSE}),
    }
)
"""By dialect: any of these, approved, ends the batch."""

_MONEY: Final = frozenset({ItemKind.ADVICE, ItemKind.REFUND})
_OFFLINE: Final = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})


class Disagreement(PosdecomError):
    """Seal, items and books do not fit together; a person has to look."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result over all contexts: what is missing in the books, or the findings for a receipt."""

    missing: tuple[int, ...]
    findings: dict[int, Findings]
    held: dict[int, Tally]
    """By currency: sold online after the cut-off by the host's own time, and not given back."""


@dataclass(frozen=True, slots=True)
class _Message:
    """One item with what the books say about it."""

    sequence: int
    item: Item
    code: str | None
    """The host's answer code, None where the message never arrived."""

    @property
    def is_approved(self) -> bool:
        return self.code in (CODE_APPROVED, CODE_DUPLICATE)

    @property
    def was_taken(self) -> bool:
        """Totals are taken also where the host asks for the whole batch."""
        return self.is_approved or (self.item.kind is ItemKind.TOTALS and self.code == CODE_UPLOAD)


def audit(seal: Seal, items: Sequence[bytes], ledger: Ledger, hsm: Hsm, cutoff_at: int) -> Audit:
    """Count again. `Disagreement` where no delivery could mend it. ``cutoff_at``: the order's, seconds since 1970."""
    if len(items) != seal.item_count or chain_head(items) != seal.head:
        raise Disagreement("the items do not add up to the seal's chain head")
    messages = [_looked_up(sequence, data, ledger, hsm) for sequence, data in enumerate(items, 1)]
    missing: list[int] = []
    findings: dict[int, Findings] = {}
    held: dict[int, Tally] = {}
    for context in seal.contexts:
        if not context.is_empty:
            own = messages[context.item_first - 1 : context.item_last]
            _check_context(context, own)
            missing += _missing(own, _ENDS.get(context.dialect, frozenset()))
            findings[context.index] = _findings(context, own)
            if not missing:
                _check_books(context, own, ledger)
            held[context.currency] = held.get(context.currency, Tally()) + _held(context, ledger, cutoff_at)
    return Audit(
        tuple(missing), findings, {currency: tally for currency, tally in held.items() if tally.count}
    )


def _looked_up(sequence: int, data: bytes, ledger: Ledger, hsm: Hsm) -> _Message:
    try:
        item = decode_item(data)
        message = decode(item.message)
        ksn, batch = message.binary(53), BatchReference.decode(message.text(60)).batch
        place = Place(message.text(41), batch, int(message.text(11)))
    except MessageError as error:
        raise Disagreement(f"item {sequence} is no message") from error
    if not hsm.mac_is_good(ksn, item.message):
        raise Disagreement(f"item {sequence} has a MAC that is not this terminal's")
    exchange = ledger.exchange(place, ksn)
    digest = hashlib.sha256(item.message[ENVELOPE_BYTES:]).digest()
    arrived = exchange is not None and (exchange.ksn, exchange.digest) == (ksn, digest)
    return _Message(sequence, item, exchange.code if exchange is not None and arrived else None)


def _check_context(context: SealedContext, messages: Sequence[_Message]) -> None:
    """The seal's totals are those of its own upload items, and every item is of this context."""
    if any(message.item.context != context.index for message in messages):
        raise Disagreement(f"context {context.index} holds items of another")
    totals = {group: GroupTotals(group) for group in CardGroup}
    for summary in (one.item.summary for one in messages if one.item.kind is ItemKind.UPLOAD):
        if summary is None:
            raise Disagreement(f"context {context.index} uploads something that is no transaction")
        totals[summary.group] = totals[summary.group].plus(summary.transaction_class, summary.amount)
    if _by_group(context) != totals:
        raise Disagreement(f"context {context.index}: the seal's totals are not those of its transactions")


def _missing(messages: Sequence[_Message], ends: frozenset[ItemKind]) -> Iterator[int]:
    """What never arrived. Of the messages that may end the batch one must be approved; which, the totals decide."""
    is_ended = any(one.is_approved for one in messages if one.item.kind in ends)
    for one in messages:
        has_to = one.item.kind in _MUST_ARRIVE or (one.item.kind in ends and not is_ended)
        if has_to and one.code is None:
            yield one.sequence


def _findings(context: SealedContext, messages: Sequence[_Message]) -> Findings:
    counted = [one.item.summary for one in messages if one.item.kind is ItemKind.UPLOAD]
    total = Tally()
    for summary in counted:
        assert summary is not None
        total = total.plus(summary.amount)
    refusals = [one for one in messages if one.item.kind in _MUST_ARRIVE and one.code and not one.was_taken]
    refused = Tally()
    for one in refusals:
        if one.item.kind in _MONEY and one.item.summary is not None:
            refused = refused.plus(one.item.summary.amount)
    return Findings(
        delivered=Tally(total.count - refused.count, total.amount - refused.amount),
        refused=refused,
        withheld=_withheld(context, messages),
        refusals=tuple(Refusal(one.sequence, one.code or "") for one in refusals),
    )


def _withheld(context: SealedContext, messages: Sequence[_Message]) -> Tally:
    """Offline sales that the seal counts as records and that are in no upload: sold after the cut-off."""
    tally = Tally()
    for count in context.classes:
        if count.transaction_class in _OFFLINE:
            tally = tally + count.tally
    for one in messages:
        summary = one.item.summary
        if one.item.kind is ItemKind.UPLOAD and summary is not None and summary.transaction_class in _OFFLINE:
            tally = Tally(tally.count - 1, tally.amount - summary.amount)
    return tally


def _check_books(context: SealedContext, messages: Sequence[_Message], ledger: Ledger) -> None:
    """The books' totals are the seal's, less exactly what the host refused."""
    expected = _by_group(context)
    for one in messages:
        summary = one.item.summary
        if one.item.kind in _MONEY and summary is not None and not one.was_taken:
            expected[summary.group] = _less(
                expected[summary.group], summary.transaction_class, summary.amount
            )
    books = {one.group: one for one in ledger.totals(context.tid, context.batch)}
    if any(books[group] != totals for group, totals in expected.items()):
        raise Disagreement(f"context {context.index}: the acquirer's books do not agree with the seal")


def _held(context: SealedContext, ledger: Ledger, cutoff_at: int) -> Tally:
    """By the host's clock, whatever the terminal's said: a wrong one prepares too few refunds, and this shows it."""
    postings = ledger.postings(context.tid, context.batch)
    late = [one for one in postings if one.at >= cutoff_at]
    given_back = Counter((one.card, one.amount) for one in late if SIDE[one.transaction_class] is Side.CREDIT)
    held = Tally()
    for one in late:
        if one.source is Source.ONLINE and SIDE[one.transaction_class] is Side.DEBIT:
            if given_back[one.card, one.amount]:
                given_back[one.card, one.amount] -= 1
            else:
                held = held.plus(one.amount)
    return held


def _by_group(context: SealedContext) -> dict[CardGroup, GroupTotals]:
    """What the seal says of each card group; one that it leaves out has nothing in it."""
    sealed = {one.group: one for one in context.totals}
    if len(sealed) != len(context.totals):
        raise Disagreement(f"context {context.index}: the seal has two totals for one card group")
    return {group: sealed.get(group, GroupTotals(group)) for group in CardGroup}


def _less(totals: GroupTotals, transaction_class: TransactionClass, amount: int) -> GroupTotals:
    one = GroupTotals(totals.group).plus(transaction_class, amount)
    return GroupTotals(
        totals.group,
        Tally(totals.debit.count - one.debit.count, totals.debit.amount - one.debit.amount),
        Tally(totals.credit.count - one.credit.count, totals.credit.amount - one.credit.amount),
    )

"""The desk's own count: what a seal and its items say, checked against each other, the MACs and the books.

Nothing that the agent or the terminal adds up is believed. Totals are computed again from the upload items, every
item's MAC is checked, and each transaction must be in the books with its class, amount and card, and nothing beside
them: totals alone would hide errors that cancel out. Whether money was refused is judged by what is booked, not by
the answer that its message got.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from posdecom_protocol.data_elements import CODE_APPROVED, CODE_DUPLICATE, CODE_UPLOAD, BatchReference, Reply
from posdecom_protocol.documents.receipt import Refusal
from posdecom_protocol.documents.seal import Seal, SealedContext, item_ranges_hold
from posdecom_protocol.errors import KeyMaterialError, MessageError, PosdecomError
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, decode
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, Tally, TransactionClass
from posdecom_protocol.records import Item, ItemKind, Summary, chain_head, decode_item
from posdecom_protocol.release import Findings

from ..brackets import When, place
from .books import Posting, Source
from .chip import Told, chip_problem
from .classes import class_problem
from .host import CODE_BATCH_CLOSED
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
"""Uploads go out only where the totals do not balance, and one of the two ends of a batch never does."""

_BALANCED: Final = frozenset({ItemKind.CHIP_PROOF})
_UNBALANCED: Final = frozenset({ItemKind.UPLOAD, ItemKind.CHIP_PROOF_UNBALANCED})
_ALWAYS: Final[Mapping[str, frozenset[ItemKind]]] = MappingProxyType(
    {"edc": frozenset({ItemKind.CHIP_PROOF})}
)
"""By dialect: what must arrive whichever way the totals turn out, besides `_MUST_ARRIVE`."""

_ENDS: Final[Mapping[str, tuple[ItemKind, ItemKind]]] = MappingProxyType(
    {
        "cup": (ItemKind.END_BALANCED, ItemKind.END_UNBALANCED),
        "edc": (ItemKind.TOTALS, ItemKind.CLOSE),
    }
)
"""By dialect: what ends a batch whose totals balanced, and one whose totals did not. Either, approved, has ended it."""

_CLOSING: Final = frozenset({ItemKind.UPLOAD, ItemKind.END_BALANCED, ItemKind.END_UNBALANCED, ItemKind.CLOSE})
_OTHER_BOOKS: Final = "context {}: the acquirer's books do not agree with the seal"

_MONEY: Final = frozenset({ItemKind.ADVICE, ItemKind.REFUND})
_OFFLINE: Final = frozenset({TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT})


class Disagreement(PosdecomError):
    """Seal, items and books do not fit together; a person has to look."""


@dataclass(frozen=True, slots=True)
class Audit:
    """The result over all contexts: what is missing in the books, or the findings for a receipt."""

    missing: tuple[int, ...]
    findings: dict[int, Findings]


@dataclass(frozen=True, slots=True)
class _Message:
    """One item with what the books say about it."""

    sequence: int
    item: Item
    place: Place
    account: bytes
    """Field 57, empty where the message has none."""
    chip: bytes
    """Field 55 likewise."""
    code: str | None
    """The host's answer code, None where the message never arrived."""
    posting: Posting | None
    """What the books have of the transaction that it is about."""

    @property
    def summary(self) -> Summary:
        """Only of messages about one transaction."""
        assert self.item.summary is not None
        return self.item.summary

    @property
    def booked(self) -> Posting:
        """Only where there is one."""
        assert self.posting is not None
        return self.posting

    @property
    def is_approved(self) -> bool:
        return self.code in (CODE_APPROVED, CODE_DUPLICATE)

    @property
    def was_taken(self) -> bool:
        """Money is taken where it is booked; totals also where the host asks for the whole batch."""
        if self.item.kind in _MONEY:
            return self.is_booked
        return self.is_approved or (self.item.kind is ItemKind.TOTALS and self.code == CODE_UPLOAD)

    @property
    def is_refused(self) -> bool:
        """It arrived, and the host would not have it."""
        return self.code is not None and not self.was_taken

    @property
    def came_after_the_end(self) -> bool:
        """A detail or an end that only a forged answer can have called for: the batch had ended without it."""
        return self.code == CODE_BATCH_CLOSED and self.item.kind in _CLOSING

    @property
    def is_booked(self) -> bool:
        """The books have the transaction with this class, card group and amount."""
        one, other = self.posting, self.item.summary
        return (
            one is not None
            and other is not None
            and (one.transaction_class, one.group, one.amount, one.currency)
            == (other.transaction_class, other.group, other.amount, other.currency)
        )


def audit(
    seal: Seal, items: Sequence[bytes], ledger: Ledger, hsm: Hsm, key_set: bytes, cutoff_at: int
) -> Audit:
    """Count again. `Disagreement` where no delivery could mend it.

    ``key_set``: initial key id of the terminal (8 bytes). ``cutoff_at``: the order's, seconds since 1970.
    """
    if len(items) != seal.item_count or chain_head(items) != seal.head:
        raise Disagreement("the items do not add up to the seal's chain head")
    if not item_ranges_hold(seal):
        raise Disagreement("the seal's contexts do not share out its items")
    messages = [
        _looked_up(sequence, data, seal, ledger, hsm, key_set) for sequence, data in enumerate(items, 1)
    ]
    missing: list[int] = []
    findings: dict[int, Findings] = {}
    _check_withheld(messages, cutoff_at)
    late = _sold_offline_after(seal, messages, cutoff_at)
    for context in seal.contexts:
        own = messages[context.item_first - 1 : context.item_last]
        _check_context(context, own)
        missing += _missing(context, own, ledger)
        if not missing:
            _check_end(context, own)
            _check_books(context, own, ledger, hsm, key_set)
        if not context.is_empty:
            held = _held(context, ledger, cutoff_at, late)
            findings[context.index] = replace(_findings(context, own), held=held)
    return Audit(tuple(missing), findings)


def _looked_up(sequence: int, data: bytes, seal: Seal, ledger: Ledger, hsm: Hsm, key_set: bytes) -> _Message:
    try:
        item = decode_item(data)
        if item.kind is ItemKind.WITHHELD:
            return _kept_back(sequence, item, seal)
        message = decode(item.message)
        ksn, batch = message.binary(53), BatchReference.decode(message.text(60)).batch
        place = Place(message.text(41), batch, int(message.text(11)))
    except MessageError as error:
        raise Disagreement(f"item {sequence} is no message") from error
    if not ksn.startswith(key_set) or not hsm.mac_is_good(ksn, item.message):
        raise Disagreement(f"item {sequence} has a MAC that is not this terminal's")
    exchange = ledger.exchange(place, ksn)
    digest = hashlib.sha256(item.message[ENVELOPE_BYTES:]).digest()
    arrived = exchange is not None and (exchange.ksn, exchange.digest) == (ksn, digest)
    code = exchange.code if exchange is not None and arrived else None
    stan = place.stan if item.summary is None else item.summary.stan
    if item.kind in _MONEY and (item.summary is None or stan != place.stan):
        raise Disagreement(f"item {sequence} is about another transaction than it says")
    account = message.binary(57) if 57 in message.fields else b""
    chip = message.binary(55) if 55 in message.fields else b""
    return _Message(sequence, item, place, account, chip, code, ledger.posting(place._replace(stan=stan)))


def _kept_back(sequence: int, item: Item, seal: Seal) -> _Message:
    """What has no message, and so nothing in the books that came of it; the seal alone vouches for it."""
    context = next((one for one in seal.contexts if one.index == item.context), None)
    if context is None or item.summary is None or item.summary.transaction_class not in _OFFLINE:
        raise Disagreement(f"item {sequence} withholds what is no offline sale")
    place = Place(context.tid, context.batch, item.summary.stan)
    return _Message(sequence, item, place, b"", b"", None, None)


def _check_context(context: SealedContext, messages: Sequence[_Message]) -> None:
    """The seal's totals are those of its own upload items, and every item is of this context."""
    batch = context.index, context.tid, context.batch
    if any((one.item.context, *one.place[:2]) != batch for one in messages):
        raise Disagreement(f"context {context.index} holds items of another")
    uploads: dict[int, Summary] = {}
    totals = {group: GroupTotals(group) for group in CardGroup}
    for summary in (one.item.summary for one in messages if one.item.kind is ItemKind.UPLOAD):
        if summary is None or summary.stan in uploads:
            raise Disagreement(f"context {context.index} uploads a transaction twice, or none")
        uploads[summary.stan] = summary
        totals[summary.group] = totals[summary.group].plus(summary.transaction_class, summary.amount)
    for one in messages:
        if one.item.kind in _MONEY and uploads.get(one.place.stan) != one.item.summary:
            raise Disagreement(f"item {one.sequence} is money that the totals do not count")
    told = [
        Told(one.item.kind, one.item.summary, one.chip) for one in messages if one.item.summary is not None
    ]
    problem = chip_problem(context, told) or class_problem(context, told)
    if problem is not None:
        raise Disagreement(f"context {context.index} {problem}")
    if _by_group(context) != totals:
        raise Disagreement(f"context {context.index}: the seal's totals are not those of its transactions")


def _missing(context: SealedContext, messages: Sequence[_Message], ledger: Ledger) -> Iterator[int]:
    """What never arrived and has to."""
    has_to = _MUST_ARRIVE | _ALWAYS.get(context.dialect, frozenset()) | _due(context, messages, ledger)
    for one in messages:
        if one.item.kind in has_to and one.code is None and not (one.item.kind in _MONEY and one.is_booked):
            yield one.sequence


def _due(context: SealedContext, messages: Sequence[_Message], ledger: Ledger) -> frozenset[ItemKind]:
    """Of what the totals decide about: an end of the batch, as long as it has none, and what goes before that. After
    totals that were refused no end can come."""
    if context.dialect not in _ENDS or _has_ended(context, messages):
        return frozenset()
    unbalanced = _wants_uploads(context, messages, ledger)
    details = _UNBALANCED if unbalanced else _BALANCED
    refused = any(one.item.kind is ItemKind.TOTALS and one.is_refused for one in messages)
    return details if refused else details | {_ENDS[context.dialect][unbalanced]}


def _has_ended(context: SealedContext, messages: Sequence[_Message]) -> bool:
    ends = _ENDS.get(context.dialect, ())
    return any(one.is_approved for one in messages if one.item.kind in ends)


def _check_end(context: SealedContext, messages: Sequence[_Message]) -> None:
    """The batch has ended, or the host refused to end it: then the receipt names what it refused."""
    deciding = {ItemKind.TOTALS, *_ENDS.get(context.dialect, ())}
    refused = any(one.item.kind in deciding and one.is_refused for one in messages)
    if messages and not refused and not _has_ended(context, messages):
        raise Disagreement(f"context {context.index}: nothing has ended its batch")


def _wants_uploads(context: SealedContext, messages: Sequence[_Message], ledger: Ledger) -> bool:
    """Whether the host was told the totals and did not find them equal."""
    replies = ledger.replies(context.tid, context.batch)
    asked = any(one.item.kind is ItemKind.TOTALS and one.code == CODE_UPLOAD for one in messages)
    return asked or (replies is not None and replies != (Reply.BALANCED, Reply.BALANCED))


def _findings(context: SealedContext, messages: Sequence[_Message]) -> Findings:
    counted = [one.item.summary for one in messages if one.item.kind is ItemKind.UPLOAD]
    total = Tally()
    for summary in counted:
        assert summary is not None
        total = total.plus(summary.amount)
    ended = _has_ended(context, messages)
    refusals = [one for one in messages if one.is_refused and not (ended and one.came_after_the_end)]
    refused = Tally()
    for one in refusals:
        if one.item.kind in _MONEY and one.item.summary is not None:
            refused = refused.plus(one.item.summary.amount)
    return Findings(
        delivered=Tally(total.count - refused.count, total.amount - refused.amount),
        refused=refused,
        withheld=_withheld(messages),
        refusals=tuple(Refusal(one.sequence, one.code or "") for one in refusals),
    )


def _withheld(messages: Sequence[_Message]) -> Tally:
    """Each is told by an item of its own, and counted among the records of the seal (`class_problem`)."""
    told = [one.summary for one in messages if one.item.kind is ItemKind.WITHHELD]
    return Tally(len(told), sum(one.amount for one in told))


def _check_books(
    context: SealedContext, messages: Sequence[_Message], ledger: Ledger, hsm: Hsm, key_set: bytes
) -> None:
    """The books' transactions are those of the seal, less exactly what the host refused."""
    refused = {one.place.stan: one for one in messages if one.item.kind in _MONEY and not one.is_booked}
    for one in refused.values():
        if one.code == CODE_BATCH_CLOSED:
            raise Disagreement(f"item {one.sequence} came after the end of its batch")
        if one.is_approved or one.posting is not None:
            raise Disagreement(_OTHER_BOOKS.format(context.index))
    booked = ledger.postings(context.tid, context.batch)
    named = {one.stan for one in booked if SIDE[one.transaction_class] is not Side.NEITHER}
    for one in messages:
        summary = one.item.summary
        if one.item.kind is ItemKind.UPLOAD and summary is not None and summary.stan not in refused:
            named.discard(summary.stan)
            if not one.is_booked or not _is_its_card(one, hsm, key_set):
                raise Disagreement(_OTHER_BOOKS.format(context.index))
    if named - _not_reversed(messages):
        raise Disagreement(_OTHER_BOOKS.format(context.index))


def _not_reversed(messages: Sequence[_Message]) -> set[int]:
    """STANs of sales that the host refused to take out of its books: listed as a refusal, for two signers to judge."""
    reversals = [one for one in messages if one.item.kind is ItemKind.REVERSAL]
    return {one.summary.stan for one in reversals if one.code is not None and not one.is_approved}


def _is_its_card(message: _Message, hsm: Hsm, key_set: bytes) -> bool:
    try:
        card = hsm.open_card(message.account, key_set)
    except (MessageError, KeyMaterialError) as error:
        raise Disagreement(f"item {message.sequence} has account data that do not open") from error
    return message.posting is not None and card.digest == message.posting.card


def _check_withheld(messages: Sequence[_Message], cutoff_at: int) -> None:
    """None was sold in time, as far as the online sales around it tell: the merchant would lose it."""
    withheld = {one.summary.record: one.sequence for one in messages if one.item.kind is ItemKind.WITHHELD}
    placed = place(_answered_online(messages) + [(record, None) for record in withheld], cutoff_at)
    for record, sequence in withheld.items():
        if placed[record] is When.BEFORE:
            raise Disagreement(f"item {sequence} is withheld, and was sold before the cut-off")


def _answered_online(messages: Sequence[_Message]) -> list[tuple[int, int | None]]:
    """Record and the host's own time of each sale that it answered when it was made."""
    uploads = [one for one in messages if one.item.kind is ItemKind.UPLOAD and one.posting is not None]
    answered = [one for one in uploads if one.summary.transaction_class not in _OFFLINE]
    return [(one.summary.record, one.booked.at) for one in answered if one.booked.source is Source.ONLINE]


def _sold_offline_after(seal: Seal, messages: Sequence[_Message], cutoff_at: int) -> set[Place]:
    """Offline sales in the books that were made after the cut-off: by the online ones around them, whose time is the
    host's own; where those leave it open by the terminal's clock, set right by what the seal says it was off."""
    uploads = [one for one in messages if one.item.kind is ItemKind.UPLOAD and one.posting is not None]
    offline = [one for one in uploads if one.summary.transaction_class in _OFFLINE]
    placed = place(_answered_online(messages) + [(one.summary.record, None) for one in offline], cutoff_at)
    return {
        one.place._replace(stan=one.summary.stan)
        for one in offline
        if one.booked.at >= cutoff_at and _is_late(placed[one.summary.record], one.summary, seal, cutoff_at)
    }


def _is_late(when: When, summary: Summary, seal: Seal, cutoff_at: int) -> bool:
    if when is not When.UNKNOWN:
        return when is When.AFTER
    try:
        clock = datetime.strptime(summary.local_time, "%y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return True  # no time at all: for a person
    return clock - seal.clock_offset_s >= cutoff_at


def _held(context: SealedContext, ledger: Ledger, cutoff_at: int, late: Collection[Place]) -> Tally:
    """By the host's clock, whatever the terminal's said: a wrong one prepares too few refunds, and this shows it."""
    postings = ledger.postings(context.tid, context.batch)
    given_back = Counter[int]()
    for one in postings:
        if SIDE[one.transaction_class] is Side.CREDIT:
            given_back[one.original] += one.amount
    held = Tally()
    for one in postings:
        if one.transaction_class in _OFFLINE:
            is_late = Place(one.tid, one.batch, one.stan) in late
        else:
            is_late = one.source is Source.ONLINE and one.at >= cutoff_at
        left = one.amount - given_back[one.stan]
        if is_late and SIDE[one.transaction_class] is Side.DEBIT and left > 0:
            held = held.plus(left)
    return held


def _by_group(context: SealedContext) -> dict[CardGroup, GroupTotals]:
    """What the seal says of each card group; one that it leaves out has nothing in it."""
    sealed = {one.group: one for one in context.totals}
    if len(sealed) != len(context.totals):
        raise Disagreement(f"context {context.index}: the seal has two totals for one card group")
    return {group: sealed.get(group, GroupTotals(group)) for group in CardGroup}

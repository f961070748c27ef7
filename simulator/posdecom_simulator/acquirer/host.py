"""The acquirer's ISO 8583 host: one message in, one answer out, and the books in between.

`Host.answer` is pure but for the ledger it is given. What an answer promises is durable before it goes out.

Every message is checked in this order: form, MAC, whether its key set is revoked, whether it was here before. The
same bytes again get 94 if they were taken, and the same refusal as before if they were not; other bytes under a used
KSN or STAN are refused and raise an alarm. Only then it is handled, by the table at the end.

A transaction that is booked already is not booked twice, even when its message is new (the answer to an earlier one
was lost, and the terminal prepared it again): equal gets 94, different is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from posdecom_protocol.data_elements import (
    CODE_APPROVED,
    CODE_DUPLICATE,
    CODE_UPLOAD,
    MESSAGE_TYPE,
    NETWORK_CODE_END_BALANCED,
    NETWORK_CODE_END_UNBALANCED,
    NETWORK_CODE_NONE,
    NETWORK_CODE_SIGN_OFF,
    NETWORK_CODE_TOTALS,
    PROCESSING_SETTLEMENT,
    PROCESSING_SETTLEMENT_AFTER_UPLOAD,
    BatchReference,
    BatchSums,
    BatchTotals,
    MessageType,
    Original,
    OriginalMessage,
    Reply,
    UploadDetail,
)
from posdecom_protocol.errors import KeyMaterialError, MessageError
from posdecom_protocol.iso8583 import ENVELOPE_BYTES, IsoMessage, decode
from posdecom_protocol.money import CardGroup, GroupTotals, TransactionClass

from .books import (
    Alarm,
    AlarmKind,
    BatchEnd,
    Exchange,
    Finding,
    Posting,
    Row,
    SignOff,
    Source,
    Upload,
    Withdrawal,
)
from .hsm import Card, Hsm
from .ledger import Ledger, Place

CODE_INVALID_TRANSACTION: Final = "12"
CODE_INVALID_CARD: Final = "14"
CODE_NO_ORIGINAL: Final = "25"
CODE_FORMAT: Final = "30"
CODE_NOT_PERMITTED: Final = "58"
"""The terminal's key set is revoked."""
CODE_SECURITY: Final = "63"
"""A KSN or STAN was used for two messages."""
CODE_AMOUNT_DIFFERS: Final = "64"
CODE_BATCH_CLOSED: Final = "77"
CODE_BAD_MAC: Final = "A0"

_ECHOED: Final = (3, 4, 11, 41, 42, 49, 60)

_CLASS_OF: Final = {message_type: kind for kind, message_type in MESSAGE_TYPE.items()}
_ADVISED: Final = frozenset(
    {
        TransactionClass.OFFLINE_SALE,
        TransactionClass.ADJUSTMENT,
        TransactionClass.REFUND,
        TransactionClass.VOID,
    }
)


class Behaviour:
    """An honest host on a good line. Tests and the world override what they need."""

    def refusal(self, request: IsoMessage) -> str | None:
        """A code to refuse ``request`` with, whatever the books say."""
        return None

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        """Whether the totals of ``group`` are called balanced; ``equal`` is the truth."""
        return equal

    def answers(self, request: IsoMessage) -> bool:
        """Whether the answer arrives. The books have changed by then."""
        return True


@dataclass(slots=True)
class ScriptedBehaviour(Behaviour):
    """Faults by STAN."""

    refuse: Mapping[int, str] = field(default_factory=dict)
    not_balanced: frozenset[CardGroup] = frozenset()
    lose_once: set[int] = field(default_factory=set)
    """STANs whose next answer is lost; each is taken out when it happens."""

    def refusal(self, request: IsoMessage) -> str | None:
        return self.refuse.get(int(request.text(11)))

    def agrees(self, group: CardGroup, equal: bool) -> bool:
        return equal and group not in self.not_balanced

    def answers(self, request: IsoMessage) -> bool:
        stan = int(request.text(11))
        lost = stan in self.lose_once
        self.lose_once.discard(stan)
        return not lost


@dataclass(frozen=True, slots=True)
class _Request:
    """A message whose form is good."""

    message: IsoMessage
    place: Place
    mid: str
    reference: BatchReference
    ksn: bytes
    digest: bytes
    at: int

    def place_of(self, stan: int) -> Place:
        """Of another transaction of the same batch."""
        return Place(self.place.tid, self.place.batch, stan)


@dataclass(frozen=True, slots=True)
class _Verdict:
    code: str
    rows: tuple[Row, ...] = ()
    totals_reply: str = ""
    final: bool = True
    """Whether it becomes the host's word on this KSN and STAN, for ever."""


class Host:
    def __init__(self, ledger: Ledger, hsm: Hsm, behaviour: Behaviour | None = None) -> None:
        self._ledger = ledger
        self._hsm = hsm
        self._behaviour = behaviour or Behaviour()

    def answer(self, data: bytes, now: float) -> bytes | None:
        """The answer to ``data`` (no length prefix), or None: nothing can be said to bytes that are no message."""
        try:
            message = decode(data)
            request = _request(message, data, int(now))
        except MessageError:
            self._ledger.commit([Alarm(AlarmKind.MALFORMED, "", 0, int(now))])
            return None
        verdict = self._judge(request, data)
        rows = [*verdict.rows, *([_exchange(request, verdict)] if verdict.final else [])]
        self._ledger.commit(rows)
        return _answer(message, verdict) if self._behaviour.answers(message) else None

    def _judge(self, request: _Request, data: bytes) -> _Verdict:
        if not self._hsm.mac_is_good(request.ksn, data):
            return _alarm(request, AlarmKind.BAD_MAC, CODE_BAD_MAC)
        if self._ledger.is_denied(request.ksn[:8]):
            return _alarm(request, AlarmKind.KSN_DENIED, CODE_NOT_PERMITTED)
        earlier = self._ledger.exchange(request.place, request.ksn)
        if earlier is not None:
            return _repeat(request, earlier)
        refusal = self._behaviour.refusal(request.message)
        if refusal is not None:
            return _Verdict(refusal)
        return self._handle(request)

    def _handle(self, request: _Request) -> _Verdict:
        handler = _HANDLERS.get((request.message.mti, request.reference.network_code))
        if handler is None:
            return _Verdict(CODE_INVALID_TRANSACTION)
        ended = self._ledger.batch_end(request.place.tid, request.place.batch) is not None
        if ended and request.message.mti != "0820":
            return _Verdict(CODE_BATCH_CLOSED)
        try:
            return handler(self, request)
        except MessageError:
            return _Verdict(CODE_FORMAT)
        except KeyMaterialError:
            return _Verdict(CODE_INVALID_CARD)

    # --- one handler per kind of message

    def _take_back(self, request: _Request) -> _Verdict:
        """0400: withdraw the original. Unknown to the books is as good: it can not come in any more."""
        original = self._original(request)
        posting = self._ledger.posting(original)
        if posting is None and request.reference.message_type is MessageType.PREAUTH_VOID:
            return _Verdict(CODE_NO_ORIGINAL)
        if posting is not None and posting.amount != int(request.message.text(4)):
            return _Verdict(CODE_AMOUNT_DIFFERS)
        return _Verdict(CODE_APPROVED, (Withdrawal(*original, request.at),))

    def _book(self, request: _Request) -> _Verdict:
        """0220: what was approved offline, or a refund that the order asks for."""
        kind = _CLASS_OF.get(request.reference.message_type)
        if kind is None or kind not in _ADVISED:
            return _Verdict(CODE_INVALID_TRANSACTION)
        if 61 in request.message.fields and self._ledger.posting(self._original(request)) is None:
            return _Verdict(CODE_NO_ORIGINAL)
        card = self._hsm.open_card(request.message.binary(57))
        amount, currency = int(request.message.text(4)), int(request.message.text(49))
        posting = _posting(request, request.place.stan, kind, card, amount, currency, Source.ADVICE)
        booked = self._ledger.posting(request.place)
        if booked is not None:
            return _Verdict(CODE_DUPLICATE if _same_money(booked, posting) else CODE_SECURITY)
        if self._ledger.was_turned_away(request.place):
            return _Verdict(CODE_INVALID_TRANSACTION)
        return _Verdict(CODE_APPROVED, (posting,))

    def _compare(self, request: _Request) -> _Verdict:
        """0500: both sides' totals of the batch, per card group."""
        claimed = BatchTotals.decode(request.message.text(48)).groups
        tid, batch, _ = request.place
        currencies = {one.currency for one in self._ledger.postings(tid, batch)}
        if currencies - {int(request.message.text(49))}:
            replies = Reply.ERROR, Reply.ERROR
        else:
            ours = self._ledger.totals(tid, batch)
            replies = self._reply(claimed[0], ours[0]), self._reply(claimed[1], ours[1])
        return _Verdict(CODE_APPROVED, totals_reply=BatchTotals(claimed, replies).encode())

    def _reply(self, claimed: GroupTotals, ours: GroupTotals) -> Reply:
        agrees = self._behaviour.agrees(claimed.group, claimed == ours)
        return Reply.BALANCED if agrees else Reply.NOT_BALANCED

    def _take_detail(self, request: _Request) -> _Verdict:
        """0320 with one transaction: confirm it, book what is missing, and leave what differs to a person."""
        detail = UploadDetail.decode(request.message.text(48))
        kind = _CLASS_OF.get(request.reference.message_type)
        if kind is None:
            return _Verdict(CODE_INVALID_TRANSACTION)
        card = self._hsm.open_card(request.message.binary(57))
        currency = int(request.message.text(49))
        posting = _posting(request, detail.stan, kind, card, detail.amount, currency, Source.UPLOAD)
        is_its_card = card.masked_number == detail.masked_number and card.group is detail.group
        return self._uploaded(posting, self._finding(posting) if is_its_card else Finding.DISPUTED)

    def _uploaded(self, posting: Posting, finding: Finding) -> _Verdict:
        upload = Upload(posting.tid, posting.batch, posting.stan, posting.amount, finding)
        return _Verdict(CODE_APPROVED, (posting, upload) if finding is Finding.POSTED else (upload,))

    def _finding(self, posting: Posting) -> Finding:
        place = Place(posting.tid, posting.batch, posting.stan)
        booked = self._ledger.posting(place)
        if booked is not None:
            return Finding.AGREES if _same_money(booked, posting) else Finding.DISPUTED
        return Finding.DISPUTED if self._ledger.was_turned_away(place) else Finding.POSTED

    def _end(self, request: _Request) -> _Verdict:
        """0320 that ends an upload. Balanced only if the totals were."""
        tid, batch, _ = request.place
        balanced = request.reference.network_code == NETWORK_CODE_END_BALANCED
        if balanced and self._ledger.replies(tid, batch) != (Reply.BALANCED, Reply.BALANCED):
            return _Verdict(CODE_INVALID_TRANSACTION)
        count = int(request.message.text(48))
        return _Verdict(CODE_APPROVED, (BatchEnd(tid, batch, balanced, count, request.at),))

    def _sign_off(self, request: _Request) -> _Verdict:
        return _Verdict(CODE_APPROVED, (SignOff(request.place.tid, request.place.batch, request.at),))

    # --- edc: sums without card groups, and one record in each upload

    def _settle(self, request: _Request) -> _Verdict:
        """0500: 920000 ends the batch if the sums are the same, else asks for the upload; 960000 ends it after that."""
        tid, batch, _ = request.place
        match request.message.text(3):
            case code if code == PROCESSING_SETTLEMENT_AFTER_UPLOAD:
                count = len(self._ledger.uploads(tid, batch))
                return _Verdict(CODE_APPROVED, (BatchEnd(tid, batch, False, count, request.at),))
            case code if code == PROCESSING_SETTLEMENT:
                claimed = BatchSums.decode(request.message.text(63))
                equal = claimed == BatchSums.of(self._ledger.totals(tid, batch))
                if all(self._behaviour.agrees(group, equal) for group in CardGroup):
                    return _Verdict(CODE_APPROVED, (BatchEnd(tid, batch, True, 0, request.at),))
                return _Verdict(CODE_UPLOAD)
            case _:
                return _Verdict(CODE_INVALID_TRANSACTION)

    def _take_record(self, request: _Request) -> _Verdict:
        """0320: as `_take_detail`, but the transaction is told in the message's own fields."""
        kind = _CLASS_OF.get(request.reference.message_type)
        if kind is None:
            return _Verdict(CODE_INVALID_TRANSACTION)
        stan = OriginalMessage.decode(request.message.text(62)).stan
        card = self._hsm.open_card(request.message.binary(57))
        amount, currency = int(request.message.text(4)), int(request.message.text(49))
        posting = _posting(request, stan, kind, card, amount, currency, Source.UPLOAD)
        return self._uploaded(posting, self._finding(posting))

    def _original(self, request: _Request) -> Place:
        original = Original.decode(request.message.text(61))
        if original.batch != request.place.batch:
            raise MessageError("field 61 names another batch than field 60")
        return request.place_of(original.stan)


_HANDLERS: Final[Mapping[tuple[str, int], Callable[[Host, _Request], _Verdict]]] = MappingProxyType(
    {
        ("0400", NETWORK_CODE_NONE): Host._take_back,
        ("0220", NETWORK_CODE_NONE): Host._book,
        ("0500", NETWORK_CODE_NONE): Host._settle,
        ("0320", NETWORK_CODE_NONE): Host._take_record,
        ("0500", NETWORK_CODE_TOTALS): Host._compare,
        ("0320", NETWORK_CODE_TOTALS): Host._take_detail,
        ("0320", NETWORK_CODE_END_BALANCED): Host._end,
        ("0320", NETWORK_CODE_END_UNBALANCED): Host._end,
        ("0820", NETWORK_CODE_SIGN_OFF): Host._sign_off,
    }
)
"""MTI and field 60.3. An absent entry is an invalid transaction."""


def _request(message: IsoMessage, data: bytes, at: int) -> _Request:
    """`MessageError` when a field that every message has is missing."""
    message.binary(64)
    reference = BatchReference.decode(message.text(60))
    place = Place(message.text(41), reference.batch, int(message.text(11)))
    digest = hashlib.sha256(data[ENVELOPE_BYTES:]).digest()
    return _Request(message, place, message.text(42), reference, message.binary(53), digest, at)


def _repeat(request: _Request, earlier: Exchange) -> _Verdict:
    if earlier.ksn == request.ksn and earlier.digest == request.digest:
        code = CODE_DUPLICATE if earlier.code == CODE_APPROVED else earlier.code
        return _Verdict(code, totals_reply=earlier.totals_reply, final=False)
    kind = AlarmKind.KSN_REUSED if earlier.ksn == request.ksn else AlarmKind.STAN_REUSED
    return _alarm(request, kind, CODE_SECURITY)


def _alarm(request: _Request, kind: AlarmKind, code: str) -> _Verdict:
    return _Verdict(code, (Alarm(kind, request.place.tid, request.place.stan, request.at),), final=False)


def _exchange(request: _Request, verdict: _Verdict) -> Exchange:
    return Exchange(
        *request.place, request.ksn, request.digest, verdict.code, verdict.totals_reply, request.at
    )


def _posting(
    request: _Request,
    stan: int,
    kind: TransactionClass,
    card: Card,
    amount: int,
    currency: int,
    source: Source,
) -> Posting:
    tid, batch, _ = request.place
    return Posting(
        tid, request.mid, batch, stan, kind, card.group, amount, currency, card.digest, source, request.at
    )


def _same_money(booked: Posting, named: Posting) -> bool:
    return (booked.transaction_class, booked.amount, booked.card) == (
        named.transaction_class,
        named.amount,
        named.card,
    )


def _answer(message: IsoMessage, verdict: _Verdict) -> bytes:
    fields: dict[int, str | bytes] = {n: message.fields[n] for n in _ECHOED if n in message.fields}
    fields[39] = verdict.code
    if verdict.totals_reply:
        fields[48] = verdict.totals_reply
    return message.answer(fields).encode()

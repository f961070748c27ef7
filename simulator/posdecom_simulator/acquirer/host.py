"""The acquirer's ISO 8583 host: one message in, one answer out, and the books in between.

`Host.answer` is pure but for the ledger it is given. What an answer promises is durable before it goes out.

Every message is checked in this order: form, whether its key set is that of its TID, MAC, whether the key set is
revoked, whether it was here before. The same bytes again get 94 if they were taken, and the same refusal as before if
they were not; other bytes under a used KSN or STAN are refused and raise an alarm. Only then it is handled, by the
table at the end. An end of a batch that comes too early is refused for now, not for good.

A transaction that is booked already is not booked twice, even when its message is new (the answer to an earlier one
was lost, and the terminal prepared it again): equal gets 94, different is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from posdecom_protocol.aes_dukpt import INITIAL_KEY_ID_BYTES, InitialKeyId
from posdecom_protocol.data_elements import (
    CODE_APPROVED,
    CODE_DUPLICATE,
    CODE_UPLOAD,
    NETWORK_CODE_CHIP_BALANCED,
    NETWORK_CODE_CHIP_UNBALANCED,
    NETWORK_CODE_DECLINED_BALANCED,
    NETWORK_CODE_DECLINED_UNBALANCED,
    NETWORK_CODE_END_BALANCED,
    NETWORK_CODE_END_UNBALANCED,
    NETWORK_CODE_NONE,
    NETWORK_CODE_SIGN_OFF,
    NETWORK_CODE_TOTALS,
    PROCESSING_SETTLEMENT,
    PROCESSING_SETTLEMENT_AFTER_UPLOAD,
    BatchSums,
    BatchTotals,
    MessageType,
    Reply,
    decode_upload_count,
)
from posdecom_protocol.errors import KeyMaterialError, MessageError
from posdecom_protocol.iso8583 import IsoMessage, decode
from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, TransactionClass

from ..site import BookedTerminal
from .behaviour import Behaviour as Behaviour
from .behaviour import ScriptedBehaviour as ScriptedBehaviour
from .books import (
    Alarm,
    AlarmKind,
    BatchEnd,
    Exchange,
    Row,
    SignOff,
    Source,
    Withdrawal,
)
from .hsm import Hsm
from .ledger import Ledger
from .requests import CLASS_OF, Request, Verdict, posting_of, read_request, same_money
from .requests import CODE_INVALID_TRANSACTION as CODE_INVALID_TRANSACTION
from .uploads import Uploads, counted

CODE_INVALID_CARD: Final = "14"
CODE_NO_ORIGINAL: Final = "25"
CODE_FORMAT: Final = "30"
CODE_NOT_PERMITTED: Final = "58"
"""The key set is revoked, or is not that of the terminal whose TID the message has."""
CODE_SECURITY: Final = "63"
"""A KSN or STAN was used for two messages."""
CODE_AMOUNT_DIFFERS: Final = "64"
CODE_BATCH_CLOSED: Final = "77"
CODE_BAD_MAC: Final = "A0"

ALARMS_PER_KIND_MAX: Final = 1000
"""Anybody who reaches the port can cause some: more than this are not kept."""

_ECHOED: Final = (3, 4, 11, 41, 42, 49, 60)

_ADVISED: Final = frozenset(
    {
        TransactionClass.OFFLINE_SALE,
        TransactionClass.ADJUSTMENT,
        TransactionClass.REFUND,
        TransactionClass.VOID,
    }
)


class Host:
    def __init__(
        self,
        ledger: Ledger,
        hsm: Hsm,
        terminals: Iterable[BookedTerminal],
        behaviour: Behaviour | None = None,
    ) -> None:
        self._ledger = ledger
        self._hsm = hsm
        self.uploads: Final = Uploads(ledger, hsm)
        self._key_sets = {(one.tid, booked.initial_key_id) for booked in terminals for one in booked.contexts}
        self._behaviour = behaviour or Behaviour()

    def answer(self, data: bytes, now: float) -> bytes | None:
        """The answer to ``data`` (no length prefix), or None: nothing can be said to bytes that are no message."""
        try:
            message = decode(data)
            _check_type(message)
            request = read_request(message, data, int(now))
        except MessageError:
            self._commit([Alarm(AlarmKind.MALFORMED, "", 0, int(now))])
            return None
        verdict = self._judge(request, data)
        rows = [*verdict.rows, *([_exchange(request, verdict)] if verdict.final else [])]
        self._commit(rows)
        return _answer(message, verdict) if self._behaviour.answers(message) else None

    def forget(self, messages: int) -> None:
        """As if the books were restored from a copy that lacks the last ``messages`` messages."""
        self._ledger.forget(messages)

    def _commit(self, rows: Iterable[Row]) -> None:
        full = {kind for kind in AlarmKind if self._ledger.alarm_count(kind) >= ALARMS_PER_KIND_MAX}
        kept = [row for row in rows if not (isinstance(row, Alarm) and row.kind in full)]
        if kept:
            self._ledger.commit(kept)

    def _judge(self, request: Request, data: bytes) -> Verdict:
        key_set = InitialKeyId(request.ksn[:INITIAL_KEY_ID_BYTES])
        if (request.place.tid, key_set) not in self._key_sets:
            return _alarm(request, AlarmKind.KSN_FOREIGN, CODE_NOT_PERMITTED)
        if not self._hsm.mac_is_good(request.ksn, data):
            return _alarm(request, AlarmKind.BAD_MAC, CODE_BAD_MAC)
        if self._ledger.is_denied(key_set):
            return _alarm(request, AlarmKind.KSN_DENIED, CODE_NOT_PERMITTED)
        earlier = self._ledger.exchange(request.place, request.ksn)
        if earlier is not None:
            return _repeat(request, earlier)
        refusal = self._behaviour.refusal(request.message)
        verdict = self._handle(request) if refusal is None else Verdict(refusal)
        return counted(request, verdict)

    def _handle(self, request: Request) -> Verdict:
        handler = _HANDLERS.get(request.kind)
        if handler is None:
            return Verdict(CODE_INVALID_TRANSACTION)
        ended = self._ledger.batch_end(request.place.tid, request.place.batch) is not None
        if ended and request.message.mti != "0820":
            return Verdict(CODE_BATCH_CLOSED)
        try:
            return handler(self, request)
        except MessageError:
            return Verdict(CODE_FORMAT)
        except KeyMaterialError:
            return Verdict(CODE_INVALID_CARD)

    # --- one handler per kind of message

    def _take_back(self, request: Request) -> Verdict:
        """0400: withdraw the original. Unknown to the books is as good: it can not come in any more."""
        original = request.original
        if original is None:
            return Verdict(CODE_FORMAT)
        posting = self._ledger.posting(original)
        if posting is None and request.reference.message_type is MessageType.PREAUTH_VOID:
            return Verdict(CODE_NO_ORIGINAL)
        if posting is not None and posting.amount != request.amount:
            return Verdict(CODE_AMOUNT_DIFFERS)
        return Verdict(CODE_APPROVED, (Withdrawal(*original, request.at),))

    def _book(self, request: Request) -> Verdict:
        """0220: what was approved offline, or a refund that the order asks for."""
        kind = CLASS_OF.get(request.reference.message_type)
        if kind is None or kind not in _ADVISED:
            return Verdict(CODE_INVALID_TRANSACTION)
        original = request.original
        if original is not None and self._ledger.posting(original) is None:
            return Verdict(CODE_NO_ORIGINAL)
        card = request.card(self._hsm)
        amount, currency = request.amount, request.currency
        proof = request.chip_proof(kind, request.place.stan, amount, currency)
        posting = posting_of(request, request.place.stan, kind, card, amount, currency, Source.ADVICE)
        booked = self._ledger.posting(request.place)
        if booked is not None:
            return Verdict(CODE_DUPLICATE if same_money(booked, posting) else CODE_SECURITY)
        if self._ledger.was_turned_away(request.place):
            return Verdict(CODE_INVALID_TRANSACTION)
        if original is not None and SIDE[kind] is Side.CREDIT and amount > self._ledger.refundable(original):
            return Verdict(CODE_AMOUNT_DIFFERS)
        return Verdict(CODE_APPROVED, (posting, *proof))

    def _compare(self, request: Request) -> Verdict:
        """0500: both sides' totals of the batch, per card group."""
        claimed = BatchTotals.decode(request.message.text(48)).groups
        tid, batch, _ = request.place
        currencies = {one.currency for one in self._ledger.postings(tid, batch)}
        if currencies - {request.currency}:
            replies = Reply.ERROR, Reply.ERROR
        else:
            ours = self._ledger.totals(tid, batch)
            replies = self._reply(claimed[0], ours[0]), self._reply(claimed[1], ours[1])
        return Verdict(CODE_APPROVED, totals_reply=BatchTotals(claimed, replies).encode())

    def _reply(self, claimed: GroupTotals, ours: GroupTotals) -> Reply:
        agrees = self._behaviour.agrees(claimed.group, claimed == ours)
        return Reply.BALANCED if agrees else Reply.NOT_BALANCED

    def _end(self, request: Request) -> Verdict:
        """0320 that ends an upload, once all that it announces is there; as balanced only if the totals were."""
        tid, batch, _ = request.place
        balanced = request.reference.network_code == NETWORK_CODE_END_BALANCED
        count = decode_upload_count(request.message.text(48))
        proofs = self._ledger.proofs(tid, batch).values()
        declined = sum(one.transaction_class is TransactionClass.DECLINED for one in proofs)
        if balanced:
            proven = sum(one.transaction_class is TransactionClass.SALE for one in proofs)
            agreed = self._ledger.replies(tid, batch) == (Reply.BALANCED, Reply.BALANCED)
            is_early = not agreed or proven + declined < count
        else:
            is_early = self._ledger.upload_count(tid, batch) + declined < count
        return _TOO_EARLY if is_early else _ended(request, balanced, count)

    def _sign_off(self, request: Request) -> Verdict:
        return Verdict(CODE_APPROVED, (SignOff(request.place.tid, request.place.batch, request.at),))

    # --- edc: sums without card groups, and one record in each upload

    def _settle(self, request: Request) -> Verdict:
        """0500: 920000 ends the batch if the sums are the same, else asks for the upload; 960000 ends it after that."""
        tid, batch, _ = request.place
        claimed = BatchSums.decode(request.message.text(63))
        match request.message.text(3):
            case code if code == PROCESSING_SETTLEMENT_AFTER_UPLOAD:
                count = claimed.sale.count + claimed.refund.count
                is_early = self._ledger.upload_count(tid, batch) < count
                return _TOO_EARLY if is_early else _ended(request, False, count)
            case code if code == PROCESSING_SETTLEMENT:
                equal = claimed == BatchSums.of(self._ledger.totals(tid, batch))
                agree = all(self._behaviour.agrees(group, equal) for group in CardGroup)
                return _ended(request, True, 0) if agree else Verdict(CODE_UPLOAD)
            case _:
                return Verdict(CODE_INVALID_TRANSACTION)


Handler: TypeAlias = Callable[[Host, Request], Verdict]


def _uploads(handler: Callable[[Uploads, Request], Verdict]) -> Handler:
    return lambda host, request: handler(host.uploads, request)


_HANDLERS: Final[Mapping[tuple[str, int], Handler]] = MappingProxyType(
    {
        ("0400", NETWORK_CODE_NONE): Host._take_back,
        ("0220", NETWORK_CODE_NONE): Host._book,
        ("0500", NETWORK_CODE_NONE): Host._settle,
        ("0320", NETWORK_CODE_NONE): _uploads(Uploads.take_record),
        ("0500", NETWORK_CODE_TOTALS): Host._compare,
        ("0320", NETWORK_CODE_TOTALS): _uploads(Uploads.take_detail),
        ("0320", NETWORK_CODE_CHIP_UNBALANCED): _uploads(Uploads.take_chip_detail),
        ("0320", NETWORK_CODE_CHIP_BALANCED): _uploads(Uploads.take_proof),
        ("0320", NETWORK_CODE_DECLINED_BALANCED): _uploads(Uploads.take_proof),
        ("0320", NETWORK_CODE_DECLINED_UNBALANCED): _uploads(Uploads.take_proof),
        ("0320", NETWORK_CODE_END_BALANCED): Host._end,
        ("0320", NETWORK_CODE_END_UNBALANCED): Host._end,
        ("0820", NETWORK_CODE_SIGN_OFF): Host._sign_off,
    }
)
"""MTI and field 60.3. An absent entry is an invalid transaction."""

_MTIS: Final = frozenset(mti for mti, _ in _HANDLERS)
_TOO_EARLY: Final = Verdict(CODE_INVALID_TRANSACTION, final=False)


def _check_type(message: IsoMessage) -> None:
    if message.mti not in _MTIS:
        raise MessageError("MTI is that of no request")


def _ended(request: Request, balanced: bool, count: int) -> Verdict:
    return Verdict(CODE_APPROVED, (BatchEnd(*request.place[:2], balanced, count, request.at),))


def _repeat(request: Request, earlier: Exchange) -> Verdict:
    if earlier.ksn == request.ksn and earlier.digest == request.digest:
        code = CODE_DUPLICATE if earlier.code == CODE_APPROVED else earlier.code
        return Verdict(code, totals_reply=earlier.totals_reply, final=False)
    kind = AlarmKind.KSN_REUSED if earlier.ksn == request.ksn else AlarmKind.STAN_REUSED
    return _alarm(request, kind, CODE_SECURITY)


def _alarm(request: Request, kind: AlarmKind, code: str) -> Verdict:
    return Verdict(code, (Alarm(kind, request.place.tid, request.place.stan, request.at),), final=False)


def _exchange(request: Request, verdict: Verdict) -> Exchange:
    return Exchange(
        *request.place, request.ksn, request.digest, verdict.code, verdict.totals_reply, request.at
    )


def _answer(message: IsoMessage, verdict: Verdict) -> bytes:
    fields: dict[int, str | bytes] = {n: message.fields[n] for n in _ECHOED if n in message.fields}
    fields[39] = verdict.code
    if verdict.totals_reply:
        fields[48] = verdict.totals_reply
    return message.answer(fields).encode()

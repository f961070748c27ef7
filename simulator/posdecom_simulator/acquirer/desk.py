"""The release desk: judges a seal with its items and signs the receipt, judges a certificate and signs the closure.

Pure but for the shelf and ledger that are handed in. Each call may be repeated: what was signed once is answered with
the same bytes for ever.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Final, Protocol

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.chain import check_supersedes
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.custody import decode_salvage, encode_receipts, read_custody
from posdecom_protocol.documents import Signed, authenticate, issue, open_document
from posdecom_protocol.documents.certificate import Certificate, State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis, Receipt
from posdecom_protocol.documents.salvage import Salvage
from posdecom_protocol.documents.seal import Seal, SealedContext, Tamper
from posdecom_protocol.errors import DocumentError, MessageError
from posdecom_protocol.guard import needs_second_signature
from posdecom_protocol.messages import RECEIPTS_BYTES_MAX
from posdecom_protocol.money import TransactionClass
from posdecom_protocol.release import Terms, receipt_over
from posdecom_protocol.salvage import salvage_of
from posdecom_protocol.verdict import Verdict, judge

from ..site import BookedTerminal, SiteError
from ..terminal.device import Context
from .audit import Audit, Disagreement, audit
from .books import Denial, Source
from .hsm import Hsm
from .ledger import Ledger
from .salvage import account_for
from .standing import next_batch

MISSING_MAX: Final = 10_000
"""Named at once; they are sent, and the next call names the rest."""

HOST_KEYS: Final = ("TMK", "TMK-TDES", "TPK", "TAK", "TDK")
"""The host's copies of a terminal's keys. What DUKPT derives has no copy: its key set is denied."""

SALVAGES_MAX: Final = 8
"""Kept under one order: what one laptop read, and what others read after it. Nobody signed them, so as many again
without a single good MAC, which anybody can make up and which shut no other out."""

CLOCK_SLACK_S: Final = 86_400
"""A laptop's clock that is further off cannot use its technician's certificate, which lives a day."""

OK: Final = 200
WAITING: Final = 202
NOT_FOUND: Final = 404
CONFLICT: Final = 409
REFUSED: Final = 422


_WAITING_FOR: Final = {
    Basis.AGREED: "something was refused: a second signer has to approve it",
    Basis.EXCEPTION: "the terminal reported tampering: a second signer has to approve it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and a body: documents with 200, JSON otherwise."""

    status: int
    body: bytes


class Shelf(Protocol):
    """Where the desk keeps what it signed, by name. `put` is durable on return."""

    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...


class MemoryShelf:
    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self._values.get(name)

    def put(self, name: str, value: bytes) -> None:
        self._values[name] = value


@dataclass(frozen=True, slots=True)
class Signers:
    """The acquirer's hands. Without an approver, what needs two signatures waits."""

    issuer: str
    release: SigningKey
    approver: SigningKey | None


class Desk:
    def __init__(
        self,
        ledger: Ledger,
        hsm: Hsm,
        shelf: Shelf,
        signers: Signers,
        anchors: Anchors,
        terminals: tuple[BookedTerminal, ...],
        clearing_s: float = 0.0,
    ) -> None:
        """``clearing_s``: how long a refund is open after it was booked; days with real banks."""
        self._ledger = ledger
        self._hsm = hsm
        self._shelf = shelf
        self._signers = signers
        self._anchors = anchors
        self._clearing_s = clearing_s
        self._terminals = {one.serial: one for one in terminals}

    def poll_seal(self, digest_hex: str) -> Answer:
        """GET /v1/seals/{digest}: the receipts, where they are signed."""
        signed = self._shelf.get(f"receipts-{digest_hex}")
        return _problem(NOT_FOUND, "this seal has no receipt") if signed is None else Answer(OK, signed)

    def post_seal(self, body: bytes, now: float) -> Answer:
        """POST /v1/seals: order, seal and all items. 200 receipts, 202 wait, 409 items missing, 422 refused."""
        try:
            order_data, seal_data, items = read_custody(body)
            order, seal = open_document(order_data, Order), open_document(seal_data, Seal)
            terminal = self._judge_documents(order, seal)
            signed = self._shelf.get(f"receipts-{seal.digest.hex()}")
            if signed is not None:
                return Answer(OK, signed)
            key_set, cutoff_at = terminal.initial_key_id, order.body.cutoff_at
            result = audit(seal.body, tuple(items), self._ledger, self._hsm, key_set, cutoff_at)
            if result.missing:
                return Answer(CONFLICT, json.dumps({"missing": result.missing[:MISSING_MAX]}).encode())
            return self._sign_receipts(order, seal, result, now)
        except (DocumentError, MessageError, SiteError, Disagreement) as error:
            return _problem(REFUSED, str(error))

    def post_salvage(self, body: bytes) -> Answer:
        """POST /v1/salvages: order and records of a tampered terminal. 200 what the books say, 422 refused."""
        try:
            order_data, records = decode_salvage(body)
            order = open_document(order_data, Order)
            authenticate(order, self._anchors, order.body.issued_at)
            terminal = self._terminal(order.body.serial)
            self._refuse_stale(order)
            account = account_for(records, terminal, self._ledger, self._hsm)
            kind = "loose" if account.records == len(account.unproved) > 0 else "proved"
            self._keep_salvage(f"salvage-{kind}-{order.digest.hex()}", salvage_of(records).digest, body)
            return Answer(OK, json.dumps({**asdict(account), "words": account.words()}).encode())
        except (DocumentError, MessageError, Disagreement) as error:
            return _problem(REFUSED, str(error))

    def post_certificate(self, body: bytes, now: float) -> Answer:
        """POST /v1/certificates: the closure over it, once the terminal's side is complete."""
        try:
            verdict = judge(body, self._anchors)
            terminal = self._terminal(verdict.serial)
            name = f"closure-{verdict.certificate.digest.hex()}"
            signed = self._shelf.get(name)
            if signed is None:
                signed = self._newly_closed(verdict, terminal, now)
                self._shelf.put(f"certificate-{verdict.certificate.digest.hex()}", verdict.certificate.data)
                self._shelf.put(name, signed)
            return Answer(OK, signed)
        except (DocumentError, SiteError, Disagreement) as error:
            return _problem(REFUSED, str(error))

    # --- private -----------------------------------------------------------------------------------

    def _judge_documents(self, order: Signed[Order], seal: Signed[Seal]) -> BookedTerminal:
        authenticate(order, self._anchors, order.body.issued_at)
        signer = authenticate(seal, self._anchors, at=None)
        terminal = self._terminal(seal.body.serial)
        if signer.serial_number != terminal.serial or order.body.serial != terminal.serial:
            raise Disagreement("order, seal and its signer are not of one terminal")
        if seal.body.order_digest != order.digest:
            raise Disagreement("the seal is not under this order")
        self._refuse_stale(order)
        _refuse_untimely(order.body, seal.body)
        same_number = len(seal.body.contexts) == len(terminal.contexts)
        pairs = zip(seal.body.contexts, terminal.contexts, strict=False)
        if not (same_number and all(self._is_booked(sealed, context) for sealed, context in pairs)):
            raise Disagreement("the seal's contexts are not those in the books")
        return terminal

    def _is_booked(self, sealed: SealedContext, context: Context) -> bool:
        """Its batch is the booked one, or one that came after it because the host ended those between."""
        batch = context.batch
        while batch != sealed.batch and self._ledger.batch_end(context.tid, batch) is not None:
            batch = next_batch(batch)
        return (
            sealed.index,
            sealed.acquirer,
            sealed.mid,
            sealed.tid,
            sealed.currency,
            sealed.dialect,
            sealed.batch,
        ) == (
            context.index,
            context.acquirer,
            context.mid,
            context.tid,
            context.currency,
            context.dialect,
            batch,
        )

    def _refuse_stale(self, order: Signed[Order]) -> None:
        """An order that a later one has replaced is acted on no more."""
        name = f"counter-{order.body.serial}"
        newest = int((self._shelf.get(name) or b"0").decode("ascii"))
        if order.body.counter < newest:
            raise Disagreement("a later order exists for this terminal")
        if order.body.counter > newest:
            self._shelf.put(name, str(order.body.counter).encode("ascii"))

    def _sign_receipts(self, order: Signed[Order], seal: Signed[Seal], result: Audit, now: float) -> Answer:
        basis = Basis.EXCEPTION if seal.body.tamper is Tamper.TAMPERED else Basis.AGREED
        terms = Terms(f"R-{seal.digest.hex()[:16]}", self._signers.issuer, int(now), basis)
        receipt = receipt_over(order, seal, result.findings, terms)
        keys = [self._signers.release]
        if needs_second_signature(receipt, seal.body):
            if self._signers.approver is None:
                return _problem(WAITING, _WAITING_FOR[basis])
            keys.append(self._signers.approver)
        receipts = [issue(receipt, key) for key in keys]
        # where this clock is years off it would be signed outside its certificate's life, and kept so for ever
        authenticate(open_document(receipts[0], Receipt), self._anchors, now)
        if sum(map(len, receipts)) > RECEIPTS_BYTES_MAX:
            raise Disagreement("more was refused than a receipt can name")
        signed = encode_receipts(receipts)
        key_set = self._terminal(seal.body.serial).initial_key_id
        self._shelf.put(f"key-set-{seal.digest.hex()}", key_set)
        self._shelf.put(f"receipts-{seal.digest.hex()}", signed)
        return Answer(OK, signed)

    def _newly_closed(self, verdict: Verdict, terminal: BookedTerminal, now: float) -> bytes:
        if verdict.supersedes is not None and self._has_closed(verdict.supersedes):
            return self._close_again(verdict.certificate, verdict.supersedes, now)
        self._judge_certificate(verdict.certificate, verdict.state_at_terminal, now)
        return self._close(verdict.certificate, terminal, now)

    def _judge_certificate(self, certificate: Signed[Certificate], state: State, now: float) -> None:
        authenticate(certificate, self._anchors, now)
        if state not in (State.COMPLETE, State.EXCEPTIONS):
            self._judge_absence(certificate.body)
            return
        assert certificate.body.order is not None and certificate.body.seal is not None  # complete
        self._refuse_stale(open_document(certificate.body.order, Order))
        self._refuse_new_keys(certificate.body)

    def _judge_absence(self, body: Certificate) -> None:
        """No terminal was reached, or none that could attest its erase after the money was settled: what the order
        revokes is revoked; without such an order nothing can be closed."""
        is_settled = bool(body.receipts) and body.evidence is None
        order = None if body.order is None else open_document(body.order, Order)
        if not (body.seal is None or is_settled) or order is None or not order.body.revoke:
            raise Disagreement("the certificate is not complete at the terminal")
        self._refuse_stale(order)
        self._refuse_new_keys(body)
        if not set(order.body.revoke) & set(_key_sets(self._terminal(body.serial))):
            raise Disagreement("the order revokes no key set that the terminal has now")
        if body.salvage is not None and self._salvaged(body.salvage) is None:
            raise Disagreement("its salvaged records are not here: they come first")

    def _refuse_new_keys(self, body: Certificate) -> None:
        if body.seal is None:
            return
        key_set = self._shelf.get(f"key-set-{open_document(body.seal, Seal).digest.hex()}")
        if key_set not in (None, bytes(self._terminal(body.serial).initial_key_id)):
            raise Disagreement("the terminal has new keys since this seal")

    def _close(self, certificate: Signed[Certificate], terminal: BookedTerminal, now: float) -> bytes:
        """Forget the terminal first, then say so."""
        known = [key_set for key_set in _key_sets(terminal) if not self._ledger.is_denied(key_set)]
        self._ledger.commit([Denial(key_set, int(now)) for key_set in known])
        closure = Closure(
            closure_id=f"C-{certificate.digest.hex()[:16]}",
            serial=terminal.serial,
            certificate_digest=certificate.digest,
            closed_at=int(now),
            issuer=self._signers.issuer,
            ksn_denied=_key_sets(terminal),
            keys_deleted=HOST_KEYS,
            certificates_revoked=_device_keys(certificate.body, terminal),
            refunds_open=self._refunds_open(certificate.body, now),
            remark=self._remark(certificate.body, terminal),
        )
        return issue(closure, self._signers.release)

    def _keep_salvage(self, index: str, digest: bytes, body: bytes) -> None:
        """Once. The digests of all that are kept stand in ``index``; it comes last, and so names none that is not
        here."""
        known = self._shelf.get(index) or b""
        kept = {known[at : at + len(digest)] for at in range(0, len(known), len(digest))}
        if digest in kept:
            return
        if len(kept) == SALVAGES_MAX:
            raise Disagreement(
                f"{SALVAGES_MAX} different salvages are here under this order: it takes a new one"
            )
        self._shelf.put(f"salvage-{digest.hex()}", body)
        self._shelf.put(index, known + digest)

    def _salvaged(self, salvage: Salvage) -> tuple[bytes, ...] | None:
        """The records of ``salvage``, where they were handed over and are what it says they are."""
        body = self._shelf.get(f"salvage-{salvage.digest.hex()}")
        records = None if body is None else decode_salvage(body)[1]
        return records if records is not None and salvage_of(records) == salvage else None

    def _remark(self, certificate: Certificate, terminal: BookedTerminal) -> str:
        """What the books make of salvaged records, as they are now."""
        records = None if certificate.salvage is None else self._salvaged(certificate.salvage)
        return "" if records is None else account_for(records, terminal, self._ledger, self._hsm).words()

    def _has_closed(self, certificate_digest: bytes) -> bool:
        return self._shelf.get(f"closure-{certificate_digest.hex()}") is not None

    def _close_again(self, certificate: Signed[Certificate], supersedes: bytes, now: float) -> bytes:
        """What was forgotten once stays so, whatever the terminal does now; only the refunds are counted again."""
        authenticate(certificate, self._anchors, now)
        older = self._shelf.get(f"certificate-{supersedes.hex()}")
        closure = self._shelf.get(f"closure-{supersedes.hex()}")
        assert older is not None and closure is not None  # it was closed here
        check_supersedes(certificate.body, open_document(older, Certificate))
        again = replace(
            open_document(closure, Closure).body,
            closure_id=f"C-{certificate.digest.hex()[:16]}",
            certificate_digest=certificate.digest,
            closed_at=int(now),
            refunds_open=self._refunds_open(certificate.body, now),
        )
        return issue(again, self._signers.release)

    def _refunds_open(self, certificate: Certificate, now: float) -> int:
        """Refunds of this seal's sales that came by advice and that the banks have not had time to carry out."""
        if certificate.seal is None:
            return 0
        return sum(
            one.transaction_class is TransactionClass.REFUND
            and one.original > 0
            and one.source is not Source.ONLINE
            and max(0.0, now - one.at) < self._clearing_s
            for context in open_document(certificate.seal, Seal).body.contexts
            for one in self._ledger.postings(context.tid, context.batch)
        )

    def _terminal(self, serial: str) -> BookedTerminal:
        if serial not in self._terminals:
            raise Disagreement("the books know no such terminal")
        return self._terminals[serial]


def _refuse_untimely(order: Order, seal: Seal) -> None:
    """By the laptop's clock at the freeze. The terminal's has judged that already, and may have been set for it."""
    frozen_at = seal.sealed_at - seal.clock_offset_s
    if frozen_at > order.not_after + CLOCK_SLACK_S:
        raise Disagreement("the order was over when it froze the terminal")
    if frozen_at < order.not_before - CLOCK_SLACK_S:
        raise Disagreement("the order had not begun when it froze the terminal")


def _key_sets(terminal: BookedTerminal) -> tuple[bytes, ...]:
    """Initial key id of the AES key set, initial KSN of the TDES one."""
    tdes = () if terminal.initial_ksn is None else (terminal.initial_ksn,)
    return (terminal.initial_key_id, *tdes)


def _device_keys(certificate: Certificate, terminal: BookedTerminal) -> tuple[bytes, ...]:
    """Key ids of the certificate that signed the seal, and of the one that the channel showed; or what was ordered."""
    if certificate.seal is not None:
        return open_document(certificate.seal, Seal).sign1.kid, terminal.channel_key_id
    assert certificate.order is not None  # or it would not have been taken
    ordered = open_document(certificate.order, Order).body.revoke or ()
    others = (
        key for key in ordered if len(key) == len(terminal.channel_key_id) and key != terminal.initial_key_id
    )
    return tuple(dict.fromkeys((terminal.channel_key_id, *others)))


def _problem(status: int, reason: str) -> Answer:
    return Answer(status, json.dumps({"reason": reason}).encode())

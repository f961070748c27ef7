"""One decommission on paper: every document from order to closure, each naming the one before it.

`write_chain` tells the ordinary course of things. A test changes one body or one hand; what comes later follows, as it
would for a signer who means it. Keys come from names, so every run has the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from posdecom_protocol.certificates import Anchors, Role, load_anchors
from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import authenticate, issue, open_document
from posdecom_protocol.documents.bind import Bind
from posdecom_protocol.documents.cancellation import Cancellation, NextBatch, Span
from posdecom_protocol.documents.certificate import CasePoint, Certificate, Standing, State, Tool
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import (
    EraseMethod,
    Evidence,
    KcvMethod,
    Kept,
    ReadBack,
    SlotReport,
)
from posdecom_protocol.documents.order import Account, Action, AfterCutoff, Mode, Order, Preauths, Reason
from posdecom_protocol.documents.receipt import Basis, Receipt, ReceiptContext
from posdecom_protocol.documents.seal import ClassCount, OpenPreauth, Seal, SealedContext, Tamper
from posdecom_protocol.guard import Holding, Vacancy
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_simulator.authority import NEVER, Authority, Subject, Validity, new_key

NOW: Final = 1_800_000_000
"""2027-01-15T08:00:00Z: the order's time; everything else happens within a day."""
DAY: Final = 86_400
SERIAL: Final = "T-0001"
YEARS: Final = Validity(NOW - 365 * DAY, NOW + 10 * 365 * DAY)
SHIFT: Final = Validity(NOW - 3600, NOW - 3600 + DAY)
"""A technician's certificate lives 24 hours."""


def _seed(name: str) -> Callable[[int], bytes]:
    return lambda count: hashlib.shake_256(name.encode()).digest(count)


ACQUIRER: Final = Authority.create(
    "acquirer", (Role.ORDER, Role.RELEASE, Role.APPROVER), YEARS, _seed("acquirer")
)
TERMINALS: Final = Authority.create(
    "terminals",
    (Role.TERMINAL, Role.TERMINAL_CHANNEL, Role.MAKER),
    Validity(YEARS.not_before, NEVER),
    _seed("maker"),
)
TECHNICIANS: Final = Authority.create(
    "technicians", (Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL), YEARS, _seed("technicians")
)
OTHER_ACQUIRER: Final = Authority.create(
    "other acquirer", (Role.ORDER, Role.RELEASE, Role.APPROVER), YEARS, _seed("other acquirer")
)
"""Trusted too, and no party to this case."""
ANCHORS: Final = load_anchors(
    b"".join(one.pem() for one in (ACQUIRER, TERMINALS, TECHNICIANS, OTHER_ACQUIRER))
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who gets a certificate: the same name is the same key, whoever certifies it."""

    name: str
    serial_number: str = ""

    @property
    def private_key(self) -> Ed25519PrivateKey:
        return new_key(_seed(f"key of {self.name}"))

    def hand(self, authority: Authority, *roles: Role, validity: Validity = YEARS) -> SigningKey:
        key = self.private_key
        certificate = authority.issue(
            key.public_key(), Subject(self.name, self.serial_number), roles, validity
        )
        return SigningKey(key.sign, (certificate.public_bytes(Encoding.DER),))


@dataclass(frozen=True, slots=True)
class Hands:
    """Who signs; ``second`` is there where a receipt carries two signatures."""

    order: SigningKey
    seal: SigningKey
    release: SigningKey
    evidence: SigningKey
    technician: SigningKey
    closure: SigningKey
    second: SigningKey | None = None


_RELEASE: Final = Identity("release signer").hand(ACQUIRER, Role.RELEASE)
_TERMINAL: Final = Identity("terminal", SERIAL).hand(TERMINALS, Role.TERMINAL)
HANDS: Final = Hands(
    order=Identity("order signer").hand(ACQUIRER, Role.ORDER),
    seal=_TERMINAL,
    release=_RELEASE,
    evidence=_TERMINAL,
    technician=Identity("technician").hand(TECHNICIANS, Role.TECHNICIAN, validity=SHIFT),
    closure=_RELEASE,
)
APPROVER: Final = Identity("approver").hand(ACQUIRER, Role.APPROVER)
TWO_HANDS: Final = replace(HANDS, second=APPROVER)
BY_ROLE: Final[dict[Role, SigningKey]] = {
    Role.ORDER: HANDS.order,
    Role.RELEASE: HANDS.release,
    Role.APPROVER: APPROVER,
    Role.TERMINAL: HANDS.seal,
    Role.TECHNICIAN: HANDS.technician,
    Role.TERMINAL_CHANNEL: Identity("terminal channel", SERIAL).hand(TERMINALS, Role.TERMINAL_CHANNEL),
    Role.TECHNICIAN_CHANNEL: Identity("technician channel").hand(TECHNICIANS, Role.TECHNICIAN_CHANNEL),
    Role.MAKER: Identity("maker").hand(TERMINALS, Role.MAKER),
}
"""One hand for each role, every one of them certified by a trusted authority."""

B = TypeVar("B")


def as_it_is(body: B) -> B:
    return body


@dataclass(frozen=True, slots=True)
class Script:
    """What happens otherwise than usual: a change for each body."""

    order: Callable[[Order], Order] = as_it_is
    seal: Callable[[Seal], Seal] = as_it_is
    receipt: Callable[[Receipt], Receipt] = as_it_is
    evidence: Callable[[Evidence], Evidence] = as_it_is
    certificate: Callable[[Certificate], Certificate] = as_it_is
    closure: Callable[[Closure], Closure] = as_it_is
    cancellation: Callable[[Cancellation], Cancellation] = as_it_is
    bind: Callable[[Bind], Bind] = as_it_is


AS_USUAL: Final = Script()


@dataclass(frozen=True, slots=True)
class Documents:
    order: bytes
    seal: bytes
    receipts: tuple[bytes, ...]
    evidence: bytes
    certificate: bytes
    closure: bytes
    cancellation: bytes
    bind: bytes

    @property
    def file(self) -> bytes:
        return self.certificate + self.closure


def write_chain(script: Script = AS_USUAL, hands: Hands = HANDS) -> Documents:
    """Every document of one decommission, signed."""
    ordered = script.order(order_body())
    order = issue(ordered, hands.order)
    seal = issue(script.seal(seal_body(order)), hands.seal)
    receipt = script.receipt(receipt_body(order, seal))
    signers = [hands.release] if hands.second is None else [hands.release, hands.second]
    receipts = tuple(issue(receipt, hand) for hand in signers)
    evidence = issue(script.evidence(evidence_body(order, seal, receipts)), hands.evidence)
    body = replace(certificate_body(order, seal, receipts, evidence), revoke=ordered.revoke)
    certificate = issue(script.certificate(body), hands.technician)
    return Documents(
        order,
        seal,
        receipts,
        evidence,
        certificate,
        closure=issue(script.closure(closure_body(certificate)), hands.closure),
        cancellation=issue(script.cancellation(cancellation_body(seal)), hands.order),
        bind=issue(script.bind(bind_body(evidence)), BY_ROLE[Role.MAKER]),
    )


def holding(documents: Documents, anchors: Anchors = ANCHORS) -> Holding:
    """What the terminal of these documents holds while it is frozen."""
    order = open_document(documents.order, Order)
    return Holding(
        serial=SERIAL,
        state=LifecycleState.FROZEN,
        anchors=anchors,
        order=order,
        order_signer=authenticate(order, anchors, at=None),
        seal=open_document(documents.seal, Seal),
    )


def vacancy() -> Vacancy:
    """What the terminal knows when the order arrives: it took order 6 before, and sold an hour ago."""
    return Vacancy(
        serial=SERIAL,
        anchors=ANCHORS,
        accounts=frozenset(order_body().accounts),
        now=NOW + 60.0,
        last_record_at=NOW - 3600.0,
        counter_of=lambda _issuer_id: 6,
    )


# --- the bodies ----------------------------------------------------------------------------------


def order_body() -> Order:
    return Order(
        order_id="O-1",
        counter=7,
        issued_at=NOW,
        not_before=NOW,
        not_after=NOW + DAY,
        serial=SERIAL,
        accounts=(Account("acquirer-a", "123456789012345", "TERM0001"),),
        reason=Reason.CLOSING,
        mode=Mode.RETIRE,
        cutoff_at=NOW - DAY,
        after_cutoff=AfterCutoff.REFUND,
        preauths=Preauths.LIST,
        actions=(Action.FLUSH, Action.ERASE),
        issuer="acquirer-a",
    )


TOTALS: Final = (GroupTotals(CardGroup.DOMESTIC, Tally(2, 3000), Tally(1, 500)),)


def seal_body(order: bytes) -> Seal:
    classes = (
        ClassCount(TransactionClass.SALE, Tally(2, 3000)),
        ClassCount(TransactionClass.REFUND, Tally(1, 500)),
    )
    full = SealedContext(
        0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, "cup", classes, TOTALS, 1, 5
    )
    empty = SealedContext(1, "acquirer-a", "123456789012345", "TERM0002", 344, 7, "cup", (), (), 6, 5)
    return Seal(
        serial=SERIAL,
        order_digest=digest(order),
        challenge=hashlib.sha256(b"challenge").digest(),
        sealed_at=NOW + 60,
        clock_offset_s=-3,
        boot_count=12,
        tamper=Tamper.INTACT,
        contexts=(full, empty),
        item_count=5,
        head=hashlib.sha256(b"items").digest(),
        preauths=(OpenPreauth(0, 17, 9900, "270114120000", "622848", "1234", "A1B2C3"),),
    )


def receipt_body(order: bytes, seal: bytes) -> Receipt:
    nothing = Tally()
    return Receipt(
        receipt_id="R-1",
        basis=Basis.AGREED,
        serial=SERIAL,
        order_digest=digest(order),
        seal_digest=digest(seal),
        challenge=open_document(seal, Seal).body.challenge,
        issued_at=NOW + 3600,
        issuer="acquirer-a",
        contexts=(ReceiptContext(0, 156, TOTALS, Tally(3, 3500), nothing, nothing, nothing, ()),),
        remark="",
    )


def evidence_body(order: bytes, seal: bytes, receipts: tuple[bytes, ...]) -> Evidence:
    empty = SlotReport("TPK", "P0", "TDES", KcvMethod.NONE, b"", EraseMethod.NOT_YET, ReadBack.WAS_EMPTY)
    erased = SlotReport(
        "TMK", "K0", "AES", KcvMethod.AES_CMAC, b"\x01\x02\x03\x04\x05", EraseMethod.OVERWRITE, ReadBack.EMPTY
    )
    return Evidence(
        issued_at=NOW + 7200,
        nonce=open_document(seal, Seal).body.challenge,
        boot_count=13,
        ueid=b"\x01" + bytes(16),
        manufacturer=bytes(range(16)),
        model=b"MODEL",
        software="terminal",
        software_version=("1.0",),
        serial=SERIAL,
        order_digest=digest(order),
        seal_digest=digest(seal),
        receipt_digests=tuple(digest(receipt) for receipt in receipts),
        mode=open_document(order, Order).body.mode,
        erased_at=NOW + 7200,
        tamper=Tamper.INTACT,
        slots=(erased, empty),
        to_be_destroyed=("IDENTITY-ATTESTATION",),
        kept=(Kept("order, seal, receipt, evidence", "served for ever"),),
    )


def certificate_body(order: bytes, seal: bytes, receipts: tuple[bytes, ...], evidence: bytes) -> Certificate:
    return Certificate(
        certificate_id="C-1",
        issued_at=NOW + 7300,
        serial=SERIAL,
        technician="A. Technician",
        stated=State.UNATTESTED,
        order=order,
        seal=seal,
        receipts=receipts,
        evidence=evidence,
        case=(CasePoint("box sealed", Standing.STATED, ""), CasePoint("form signed", Standing.OPEN, "")),
        journal_head=hashlib.sha256(b"journal").digest(),
        tool=Tool("posdecom", "0.1.0", "none"),
    )


def closure_body(certificate: bytes) -> Closure:
    return Closure(
        closure_id="X-1",
        serial=SERIAL,
        certificate_digest=digest(certificate),
        closed_at=NOW + 9000,
        issuer="acquirer-a",
        ksn_denied=(bytes.fromhex("1234567890123456"),),
        keys_deleted=("TMK",),
        certificates_revoked=(bytes(8),),
        refunds_open=0,
        remark="",
    )


def cancellation_body(seal: bytes) -> Cancellation:
    return Cancellation(
        cancellation_id="X-1",
        serial=SERIAL,
        seal_digest=digest(seal),
        challenge=open_document(seal, Seal).body.challenge,
        issued_at=NOW + 3600,
        issuer="acquirer-a",
        delivered=(Span(1, 2),),
        closed=(0,),
        next_batches=(NextBatch(0, 25),),
        reason="the appeal was won",
    )


def bind_body(evidence: bytes) -> Bind:
    return Bind(
        bind_id="B-1",
        serial=SERIAL,
        evidence_digest=digest(evidence),
        issued_at=NOW + DAY,
        issuer="maker",
        # no certificates: what is in there is bytes like any other to a document, and damage to each is tried
        acquirer_anchors=b"PEM of acquirers",
        technician_anchors=b"PEM of technicians",
    )


def stating(state: State) -> Callable[[Certificate], Certificate]:
    """The technician states ``state``."""
    return lambda body: replace(body, stated=state)

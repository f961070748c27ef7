"""What a certificate amounts to: derived from the documents inside it, never believed.

`judge` reads a `.posdecom` file (a CBOR sequence, RFC 8742: the certificate and, once there is one, the closure),
checks every signature, role, link and number, and derives the state. Anything forged, damaged or overstated is a
`DocumentError`; what is merely absent makes the state worse and is named. Open paperwork is listed and changes nothing.

Times: each signer's certificates are judged at the time that its document states; the technician's, which lives
24 hours, also at the closure's time, which the acquirer attests. Devices' certificates do not expire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from . import cbor, guard
from .certificates import Anchors, Role, Signer
from .cose import TAG_HEAD
from .documents import Signed, authenticate, open_document
from .documents.certificate import Certificate, Standing, State
from .documents.closure import Closure
from .documents.evidence import Evidence
from .documents.order import Order
from .documents.receipt import Basis, Receipt, ReceiptContext
from .documents.seal import Seal, Tamper
from .errors import DocumentError
from .lifecycle import LifecycleState
from .limits import CERTIFICATE_DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_MAX
from .money import Tally

FILE_BYTES_MAX: Final = CERTIFICATE_DOCUMENT_BYTES_MAX + DOCUMENT_BYTES_MAX


class Area(StrEnum):
    MONEY = "money"
    KEYS = "keys"
    CLOSURE = "closure"
    PAPERWORK = "paperwork"


class Weight(StrEnum):
    PROVED = "proved"
    EXCEPTION = "exception"
    MISSING = "missing"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    area: Area
    weight: Weight
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The derived state, and why."""

    state: State
    state_at_terminal: State
    serial: str
    certificate: Signed[Certificate]
    closure: Signed[Closure] | None
    findings: tuple[Finding, ...]
    signers: tuple[tuple[str, Signer], ...]
    """Document name and who signed it."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """The documents of one certificate, read, with each signature verified."""

    certificate: Signed[Certificate]
    order: Signed[Order] | None
    seal: Signed[Seal] | None
    receipts: tuple[Signed[Receipt], ...]
    evidence: Signed[Evidence] | None
    closure: Signed[Closure] | None


def judge(data: bytes, anchors: Anchors) -> Verdict:
    """The verdict over a `.posdecom` file; `DocumentError` if anything in it is broken, forged or overstated."""
    chain = _read(data)
    signers = tuple(_authenticate(chain, anchors))
    _check_links(chain, anchors, dict(signers))
    findings = (*_money(chain), *_keys(chain), *_paperwork(chain))
    at_terminal = _state(chain, findings)
    if chain.certificate.body.stated < at_terminal:
        raise DocumentError("certificate.stated", "is better than the documents inside allow")
    with_closure = (*findings, *_closure(chain))
    return Verdict(
        state=_state(chain, with_closure),
        state_at_terminal=at_terminal,
        serial=chain.certificate.body.serial,
        certificate=chain.certificate,
        closure=chain.closure,
        findings=with_closure,
        signers=signers,
    )


def split(data: bytes) -> tuple[bytes, ...]:
    """The documents of a CBOR sequence: one or two, each a tagged COSE_Sign1."""
    if len(data) > FILE_BYTES_MAX:
        raise DocumentError("file", f"{len(data)} bytes; at most {FILE_BYTES_MAX}")
    documents: list[bytes] = []
    position = 0
    while position < len(data) or not documents:
        if data[position : position + 1] != TAG_HEAD or len(documents) == 2:
            raise DocumentError("file", "is no certificate, with or without its closure")
        end = cbor.walk(data, position + 1, "file")
        documents.append(data[position:end])
        position = end
    return tuple(documents)


# --- reading and authenticating ------------------------------------------------------------------


def _read(data: bytes) -> _Chain:
    first, *rest = split(data)
    certificate = open_document(first, Certificate)
    body = certificate.body
    return _Chain(
        certificate=certificate,
        order=None if body.order is None else open_document(body.order, Order),
        seal=None if body.seal is None else open_document(body.seal, Seal),
        receipts=tuple(open_document(receipt, Receipt) for receipt in body.receipts),
        evidence=None if body.evidence is None else open_document(body.evidence, Evidence),
        closure=open_document(rest[0], Closure) if rest else None,
    )


def _authenticate(chain: _Chain, anchors: Anchors) -> Iterator[tuple[str, Signer]]:
    if chain.order is not None:
        yield "order", authenticate(chain.order, anchors, chain.order.body.issued_at)
    if chain.seal is not None:
        yield "seal", authenticate(chain.seal, anchors, at=None)
    for index, receipt in enumerate(chain.receipts):
        role = Role.RELEASE if index == 0 else _second_role(receipt, anchors)
        yield f"receipt {index + 1}", authenticate(receipt, anchors, receipt.body.issued_at, role)
    if chain.evidence is not None:
        yield "evidence", authenticate(chain.evidence, anchors, at=None)
    yield "certificate", authenticate(chain.certificate, anchors, chain.certificate.body.issued_at)
    if chain.closure is not None:
        authenticate(chain.certificate, anchors, chain.closure.body.closed_at)
        yield "closure", authenticate(chain.closure, anchors, chain.closure.body.closed_at)


def _second_role(receipt: Signed[Receipt], anchors: Anchors) -> Role:
    try:
        authenticate(receipt, anchors, receipt.body.issued_at, Role.APPROVER)
    except DocumentError:
        return Role.RELEASE
    return Role.APPROVER


# --- links ---------------------------------------------------------------------------------------


def _check_links(chain: _Chain, anchors: Anchors, signers: dict[str, Signer]) -> None:
    """Each document must speak of the same terminal, name the one before it, and have it beside it."""
    _check_order_of_chain(chain)
    serial = chain.certificate.body.serial
    named = (chain.order, chain.seal, *chain.receipts, chain.evidence, chain.closure)
    if any(document is not None and document.body.serial != serial for document in named):
        raise DocumentError("certificate", "its documents speak of different terminals")
    for name in ("seal", "evidence"):
        if name in signers and signers[name].serial_number != serial:
            raise DocumentError(name, "is signed by another terminal")
    if (
        chain.seal is not None
        and chain.order is not None
        and chain.seal.body.order_digest != chain.order.digest
    ):
        raise DocumentError("seal", "is not under this order")
    _check_receipts(chain, anchors, signers)
    _check_evidence(chain, signers)
    if chain.closure is not None and chain.closure.body.certificate_digest != chain.certificate.digest:
        raise DocumentError("closure", "closes another certificate")


def _check_order_of_chain(chain: _Chain) -> None:
    present = [bool(part) for part in (chain.order, chain.seal, chain.receipts, chain.evidence)]
    if present != sorted(present, reverse=True):
        raise DocumentError("certificate", "holds a document without the one before it")


def _check_receipts(chain: _Chain, anchors: Anchors, signers: dict[str, Signer]) -> None:
    """The terminal's own conditions, by the terminal's own table."""
    if not chain.receipts or chain.order is None or chain.seal is None:
        return
    holding = guard.Holding(
        serial=chain.certificate.body.serial,
        state=LifecycleState.FROZEN,  # as it was when the terminal accepted them
        anchors=anchors,
        order=chain.order,
        order_signer=signers["order"],
        seal=chain.seal,
    )
    try:
        guard.check_release([receipt.data for receipt in chain.receipts], holding)
    except guard.GuardRefusal as error:
        raise DocumentError("receipt", str(error)) from error


def _check_evidence(chain: _Chain, signers: dict[str, Signer]) -> None:
    if chain.evidence is None or chain.order is None or chain.seal is None:
        return
    body = chain.evidence.body
    same = (
        signers["evidence"].public_key == signers["seal"].public_key,
        body.order_digest == chain.order.digest,
        body.seal_digest == chain.seal.digest,
        body.receipt_digests == tuple(receipt.digest for receipt in chain.receipts),
        body.nonce == chain.seal.body.challenge,
        body.mode == chain.order.body.mode,
    )
    if not all(same):
        raise DocumentError("evidence", "does not belong to this order, seal and receipt")


# --- findings ------------------------------------------------------------------------------------


def _money(chain: _Chain) -> Iterator[Finding]:
    if chain.seal is None:
        yield Finding(Area.MONEY, Weight.MISSING, "no seal: nobody knows what the terminal held")
        return
    if chain.seal.body.tamper is Tamper.TAMPERED:
        yield Finding(Area.MONEY, Weight.EXCEPTION, "the terminal reported tampering before it was sealed")
    for preauth in chain.seal.body.preauths:
        yield Finding(
            Area.MONEY, Weight.NOTE, f"open pre-authorisation, STAN {preauth.stan:06d}, in no total"
        )
    if not chain.receipts:
        yield Finding(Area.MONEY, Weight.MISSING, "no receipt: the acquirer has not agreed to the batch")
        return
    receipt = chain.receipts[0].body
    if receipt.basis is Basis.EXCEPTION:
        yield Finding(Area.MONEY, Weight.EXCEPTION, "released by exception, with two acquirer signatures")
    for context in receipt.contexts:
        yield from _context_findings(context)
    if not receipt.contexts:
        yield Finding(Area.MONEY, Weight.PROVED, "the terminal held no transaction")


def _context_findings(context: ReceiptContext) -> Iterator[Finding]:
    name = f"context {context.index}, currency {context.currency:03d}"
    for word, tally in (
        ("refused by the host", context.refused),
        ("not delivered", context.undelivered),
        ("withheld after the cut-off", context.withheld),
    ):
        if tally.count:
            yield Finding(Area.MONEY, Weight.EXCEPTION, f"{name}: {_amount(tally)} {word}")
    yield Finding(Area.MONEY, Weight.PROVED, f"{name}: {_amount(context.delivered)} delivered and agreed")


def _amount(tally: Tally) -> str:
    return f"{tally.count} of {tally.amount} minor units"


def _keys(chain: _Chain) -> Iterator[Finding]:
    if chain.evidence is None:
        yield Finding(Area.KEYS, Weight.MISSING, "no evidence that any key was erased")
        return
    evidence = chain.evidence.body
    if not evidence.slots or not evidence.every_slot_is_empty:
        yield Finding(Area.KEYS, Weight.MISSING, "not every key slot was read back empty")
    if evidence.tamper is Tamper.TAMPERED:
        yield Finding(Area.KEYS, Weight.EXCEPTION, "the terminal reported tampering before the erase")
    yield Finding(
        Area.KEYS, Weight.PROVED, f"{len(evidence.slots)} key slots, each read back after the erase"
    )
    for kept in evidence.kept:
        yield Finding(Area.KEYS, Weight.NOTE, f"kept: {kept.what} ({kept.why})")


def _closure(chain: _Chain) -> Iterator[Finding]:
    if chain.closure is None:
        yield Finding(Area.CLOSURE, Weight.MISSING, "no closure: complete at the terminal at best")
        return
    body = chain.closure.body
    if not body.has_forgotten_the_terminal:
        yield Finding(
            Area.CLOSURE, Weight.MISSING, "the acquirer still knows a key or certificate of the terminal"
        )
    if body.refunds_open:
        yield Finding(Area.CLOSURE, Weight.EXCEPTION, f"{body.refunds_open} refunds not yet closed")
    yield Finding(Area.CLOSURE, Weight.PROVED, "the acquirer saw this certificate and closed it")


def _paperwork(chain: _Chain) -> Iterator[Finding]:
    for point in chain.certificate.body.case:
        if point.standing is Standing.OPEN:
            yield Finding(Area.PAPERWORK, Weight.NOTE, f"open: {point.point}")


def _state(chain: _Chain, findings: tuple[Finding, ...]) -> State:
    weights = {finding.weight for finding in findings if finding.area is not Area.PAPERWORK}
    if chain.seal is None:
        # Without the terminal's own signature there is nothing to be complete or incomplete about.
        return State.UNATTESTED
    if Weight.MISSING in weights:
        return State.INCOMPLETE
    return State.EXCEPTIONS if Weight.EXCEPTION in weights else State.COMPLETE

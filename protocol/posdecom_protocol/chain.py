"""The documents of one certificate, read from a `.posdecom` file, with every signature, role and link checked.

A file is a CBOR sequence (RFC 8742): the certificate and, once there is one, its closure. Order, seal, receipts and
evidence are inside the certificate, byte for byte, and are read only after the signature around them was verified.
What is absent is absent here; `verdict` says what that means. What is there must fit, or it is a `DocumentError`.

Times: each signer's certificates are judged at the time that its document states; the technician's, which live
24 hours, also at the closure's time, which the acquirer attests. Terminals sign without a clock to be trusted, and
their certificates do not expire: no date of theirs is judged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from . import cbor, guard
from .certificates import Anchors, Role, Signer
from .cose import TAG_HEAD
from .documents import Signed, authenticate, open_document
from .documents.certificate import Certificate
from .documents.closure import Closure
from .documents.evidence import Evidence
from .documents.order import Order
from .documents.receipt import Receipt
from .documents.seal import Seal, item_ranges_hold
from .errors import DocumentError
from .held import held_items
from .lifecycle import LifecycleState
from .limits import CERTIFICATE_DOCUMENT_BYTES_MAX, DOCUMENT_BYTES_MAX
from .wording import N_

FILE_BYTES_MAX: Final = CERTIFICATE_DOCUMENT_BYTES_MAX + DOCUMENT_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Chain:
    """One certificate's documents; `open_chain` gives only chains in which everything that is there fits."""

    certificate: Signed[Certificate]
    order: Signed[Order] | None
    seal: Signed[Seal] | None
    receipts: tuple[Signed[Receipt], ...]
    evidence: Signed[Evidence] | None
    closure: Signed[Closure] | None


Signers = dict[str, Signer]
"""By the name of the document: order, seal, receipt 1, receipt 2, evidence, certificate, closure."""


def open_chain(data: bytes, anchors: Anchors) -> tuple[Chain, Signers]:
    """The chain in a `.posdecom` file and who signed it; `DocumentError` if anything is broken, forged or misplaced."""
    first, *rest = split(data)
    certificate = open_document(first, Certificate)
    technician = authenticate(certificate, anchors, certificate.body.issued_at)
    chain = _read(certificate, rest)
    _check_predecessors(chain)
    _check_revoke(chain)
    _check_remedies(chain)
    _check_salvage(chain)
    signers = {**dict(_signers(chain, anchors)), "certificate": technician}
    if chain.closure is not None:
        signers["closure"] = _closer(chain, chain.closure, anchors)
    _check_serial(chain, signers)
    _check_links(chain, anchors, signers)
    return chain, signers


def split(data: bytes) -> tuple[bytes, ...]:
    """The documents of a CBOR sequence: one or two, each a tagged COSE_Sign1."""
    if len(data) > FILE_BYTES_MAX:
        raise DocumentError("file", N_("{count} bytes; at most {max}", count=len(data), max=FILE_BYTES_MAX))
    documents: list[bytes] = []
    position = 0
    while position < len(data) or not documents:
        if data[position : position + 1] != TAG_HEAD or len(documents) == 2:
            raise DocumentError("file", N_("is no certificate, with or without its closure"))
        end = cbor.walk(data, position + 1, "file")
        documents.append(data[position:end])
        position = end
    return tuple(documents)


# --- reading and authenticating ------------------------------------------------------------------


def _read(certificate: Signed[Certificate], rest: list[bytes]) -> Chain:
    body = certificate.body
    return Chain(
        certificate=certificate,
        order=None if body.order is None else open_document(body.order, Order),
        seal=None if body.seal is None else open_document(body.seal, Seal),
        receipts=tuple(open_document(receipt, Receipt) for receipt in body.receipts),
        evidence=None if body.evidence is None else open_document(body.evidence, Evidence),
        closure=open_document(rest[0], Closure) if rest else None,
    )


def _signers(chain: Chain, anchors: Anchors) -> Iterator[tuple[str, Signer]]:
    """Who signed the documents inside the certificate."""
    if chain.order is not None:
        yield "order", authenticate(chain.order, anchors, chain.order.body.issued_at)
    if chain.seal is not None:
        yield "seal", authenticate(chain.seal, anchors, at=None)
    for number, signer in enumerate(receipt_signers(chain.receipts, anchors), 1):
        yield f"receipt {number}", signer
    if chain.evidence is not None:
        yield "evidence", authenticate(chain.evidence, anchors, at=None)


def receipt_signers(receipts: Sequence[Signed[Receipt]], anchors: Anchors) -> Iterator[Signer]:
    """Who signed them, judged at the time that each states; the guard's table has no dates, on purpose."""
    for number, receipt in enumerate(receipts, 1):
        role = Role.RELEASE if number == 1 else _second_role(receipt, anchors)
        yield authenticate(receipt, anchors, receipt.body.issued_at, role)


def _second_role(receipt: Signed[Receipt], anchors: Anchors) -> Role:
    """The role in which the terminal took it; dates are judged afterwards."""
    try:
        authenticate(receipt, anchors, None, Role.RELEASE)
    except DocumentError:
        return Role.APPROVER
    return Role.RELEASE


def _closer(chain: Chain, closure: Signed[Closure], anchors: Anchors) -> Signer:
    """The closure's signer, who saw the technician's certificate while it was valid."""
    closer = authenticate(closure, anchors, closure.body.closed_at)
    authenticate(chain.certificate, anchors, closure.body.closed_at)
    return closer


# --- links ---------------------------------------------------------------------------------------


def _check_predecessors(chain: Chain) -> None:
    present = [bool(part) for part in (chain.order, chain.seal, chain.receipts, chain.evidence)]
    if present != sorted(present, reverse=True):
        raise DocumentError("certificate", N_("holds a document without the one before it"))


def _check_serial(chain: Chain, signers: Signers) -> None:
    """One terminal throughout, and the key that signed for it certified for it."""
    serial = chain.certificate.body.serial
    parts = (chain.order, chain.seal, *chain.receipts, chain.evidence, chain.closure)
    others: tuple[Signed[Any], ...] = tuple(part for part in parts if part is not None)
    if any(other.body.serial != serial for other in others):
        raise DocumentError("certificate", N_("its documents speak of different terminals"))
    for name in ("seal", "evidence"):
        if name in signers and signers[name].serial_number != serial:
            raise DocumentError(name, N_("is signed by another terminal"))


def _check_links(chain: Chain, anchors: Anchors, signers: Signers) -> None:
    """Each document names the one before it; the closure comes from the authority that gave the order."""
    if chain.order is not None and chain.seal is not None:
        if not item_ranges_hold(chain.seal.body):
            raise DocumentError("seal", N_("its contexts do not share out its items"))
        if chain.seal.body.order_digest != chain.order.digest:
            raise DocumentError("seal", N_("is not under this order"))
        if chain.receipts:
            _check_receipts(chain, chain.order, chain.seal, anchors, signers["order"])
        if chain.evidence is not None:
            receipts = tuple(receipt.digest for receipt in chain.receipts)
            check_evidence(chain.evidence.body, chain.order, chain.seal, receipts)
            if signers["evidence"].public_key != signers["seal"].public_key:
                raise DocumentError("evidence", N_("is signed by another key than the seal"))
    if chain.closure is None:
        return
    if chain.closure.body.certificate_digest != chain.certificate.digest:
        raise DocumentError("closure", N_("closes another certificate"))
    if "order" in signers and signers["closure"].issuer_id != signers["order"].issuer_id:
        raise DocumentError("closure", N_("is not under the authority that gave the order"))


def _check_revoke(chain: Chain) -> None:
    ordered = None if chain.order is None else chain.order.body.revoke
    if (chain.certificate.body.revoke or ()) != (ordered or ()):
        raise DocumentError("certificate.revoke", N_("is not what its order lists"))


def _check_salvage(chain: Chain) -> None:
    salvage = chain.certificate.body.salvage
    if salvage is None:
        return
    if chain.order is None or chain.seal is not None:
        raise DocumentError("certificate.salvage", N_("is there without an order, or beside a seal"))
    counted = sum(one.debit.count + one.credit.count for one in salvage.sums)
    currencies = [one.currency for one in salvage.sums]
    if counted > salvage.count or currencies != sorted(set(currencies)):
        raise DocumentError("certificate.salvage", N_("does not add up"))


def _check_remedies(chain: Chain) -> None:
    remedies = chain.certificate.body.remedies
    if chain.receipts:
        held_items(chain.receipts[0].body, remedies)
    elif remedies:
        raise DocumentError("remedies", N_("are there without a receipt that lists anything"))


def check_supersedes(newer: Certificate, older: Signed[Certificate]) -> None:
    """`DocumentError` unless ``newer`` goes on where ``older`` stopped: what terminal and acquirer signed stays, byte
    for byte, and so does every remedy; paperwork may change."""
    before = older.body
    if newer.supersedes != older.digest:
        raise DocumentError("certificate.supersedes", N_("names another certificate"))
    for name in ("serial", "order", "seal", "receipts", "evidence", "revoke", "salvage"):
        if getattr(newer, name) != getattr(before, name):
            raise DocumentError(f"certificate.{name}", N_("differs from the certificate that it supersedes"))
    if newer.remedies[: len(before.remedies)] != before.remedies:
        raise DocumentError(
            "certificate.remedies", N_("leave out what the certificate that it supersedes states")
        )
    if newer.issued_at < before.issued_at:
        raise DocumentError("certificate.issued_at", N_("is before the certificate that it supersedes"))


def _check_receipts(
    chain: Chain, order: Signed[Order], seal: Signed[Seal], anchors: Anchors, order_signer: Signer
) -> None:
    """The terminal's own conditions, by the terminal's own table, in the state it was in when it took them."""
    holding = guard.Holding(
        serial=chain.certificate.body.serial,
        state=LifecycleState.FROZEN,
        anchors=anchors,
        order=order,
        order_signer=order_signer,
        seal=seal,
    )
    try:
        offered = [receipt.data for receipt in chain.receipts]
        guard.check_release(offered, holding, erase=chain.evidence is not None)
    except guard.GuardRefusal as error:
        raise DocumentError("receipt", str(error)) from error


def check_evidence(
    evidence: Evidence, order: Signed[Order], seal: Signed[Seal], receipt_digests: tuple[bytes, ...]
) -> None:
    """`DocumentError` unless ``evidence`` names exactly these documents, the seal's challenge and the order's mode."""
    stated = (
        evidence.order_digest,
        evidence.seal_digest,
        evidence.receipt_digests,
        evidence.nonce,
        evidence.mode,
    )
    if stated != (order.digest, seal.digest, receipt_digests, seal.body.challenge, order.body.mode):
        raise DocumentError("evidence", N_("does not belong to this order, seal and receipt"))

"""What acquirer and terminal signed, judged before a job keeps it. Pure.

A row of the journal is for ever: a document that does not fit would stand in the way of the right one. The
terminal and every reader of the certificate judge again, by the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from posdecom_protocol import chain
from posdecom_protocol.certificates import Anchors
from posdecom_protocol.cose import digest
from posdecom_protocol.custody import read_custody
from posdecom_protocol.documents import Signed, authenticate, open_document
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError, MessageError
from posdecom_protocol.guard import GuardRefusal, Holding, check_release
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.records import chain_head
from posdecom_protocol.verdict import judge
from posdecom_protocol.wording import N_

from .job import Job
from .refusals import REFUSALS


def check_seal(seal: Signed[Seal], order: Signed[Order], anchors: Anchors) -> None:
    """`DocumentError` unless the terminal of ``order`` made ``seal`` under it."""
    if authenticate(seal, anchors, at=None).serial_number != order.body.serial:
        raise DocumentError("seal", N_("is signed by another terminal"))
    if seal.body.order_digest != order.digest or seal.body.serial != order.body.serial:
        raise DocumentError("seal", N_("is not under this order"))


def check_custody(custody: bytes, order: Signed[Order], seal: Signed[Seal], unreadable: int) -> None:
    """`DocumentError` unless the acquirer has every item of ``seal`` that can be read: before an exception nobody may
    give up what is merely still somewhere else.

    ``unreadable``: how many of the last ones nobody can read any more; of none missing the chain's head is checked.
    """
    try:
        order_data, seal_data, items = read_custody(custody)
        held = tuple(items)
    except MessageError as error:
        raise DocumentError("custody", str(error)) from error
    if (order_data, seal_data) != (order.data, seal.data):
        raise DocumentError("custody", N_("is of another order or another seal"))
    count = seal.body.item_count
    if len(held) + unreadable != count:
        raise DocumentError(
            "custody",
            N_(
                "holds {held} of {count} messages, and {unreadable} are stated to be unreadable",
                held=len(held),
                count=count,
                unreadable=unreadable,
            ),
        )
    if not unreadable and chain_head(held) != seal.body.head:
        raise DocumentError("custody", N_("does not add up to the seal's chain head"))


def check_receipts(receipts: Sequence[bytes], job: Job, anchors: Anchors) -> None:
    """`DocumentError` unless the terminal of ``job`` can take ``receipts`` for its seal."""
    assert job.seal is not None, "receipts before the seal"
    check_receipts_over(receipts, job.order, job.seal, anchors)


def check_receipts_over(
    receipts: Sequence[bytes], order: Signed[Order], seal: Signed[Seal], anchors: Anchors
) -> None:
    """`DocumentError` unless a terminal that is frozen under ``order`` and made ``seal`` can take ``receipts``.

    An order that only settles has receipts too; it is the erase that they do not release. The terminal judges no
    dates; every reader of the certificate will, and an erased terminal without a valid certificate helps nobody.
    """
    order_signer = authenticate(order, anchors, at=None)
    holding = Holding(order.body.serial, LifecycleState.FROZEN, anchors, order, order_signer, seal)
    try:
        check_release(receipts, holding, erase=False)
    except GuardRefusal as refusal:
        raise DocumentError("receipt", REFUSALS[refusal.reason]) from refusal
    for _signer in chain.receipt_signers([open_document(data, Receipt) for data in receipts], anchors):
        pass  # judged by asking who it is


def check_evidence(data: bytes, job: Job, anchors: Anchors) -> None:
    """`DocumentError` unless the terminal that sealed ``job`` says here what it destroyed against its receipts."""
    assert job.seal is not None, "evidence before the seal"
    evidence = open_document(data, Evidence)
    signer = authenticate(evidence, anchors, at=None)
    serial = job.order.body.serial
    if (signer.serial_number, evidence.body.serial) != (serial, serial):
        raise DocumentError("evidence", N_("is signed by another terminal"))
    if signer.public_key != authenticate(job.seal, anchors, at=None).public_key:
        raise DocumentError("evidence", N_("is signed by another key than the seal"))
    receipts = tuple(digest(receipt) for receipt in job.receipts)
    chain.check_evidence(evidence.body, job.order, job.seal, receipts)


def check_closure(closure: bytes, job: Job, anchors: Anchors) -> None:
    """`DocumentError` unless ``closure`` closes the certificate of ``job``, signed by whoever ordered it."""
    assert job.certificate is not None, "a closure before the certificate"
    judge(job.certificate + closure, anchors)

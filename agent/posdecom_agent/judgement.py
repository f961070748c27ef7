"""What the acquirer signed, judged before a job keeps it. Pure.

A row of the journal is for ever: a receipt or closure that does not fit would stand in the way of the right one. The
terminal and every reader of the certificate judge again, by the same tables.
"""

from __future__ import annotations

from collections.abc import Sequence

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.documents import authenticate
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.guard import GuardRefusal, Holding, check_release
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import Refusal
from posdecom_protocol.verdict import judge

from .job import Job
from .refusals import REFUSALS


def check_receipts(receipts: Sequence[bytes], job: Job, anchors: Anchors) -> None:
    """`DocumentError` unless the terminal of ``job`` can take ``receipts`` for its seal."""
    assert job.seal is not None, "receipts before the seal"
    order_signer = authenticate(job.order, anchors, at=None)
    serial = job.order.body.serial
    holding = Holding(serial, LifecycleState.FROZEN, anchors, job.order, order_signer, job.seal)
    try:
        check_release(receipts, holding)
    except GuardRefusal as refusal:
        # an order that only settles has receipts too; it is the erase that they do not release
        if refusal.reason is not Refusal.ACTION:
            raise DocumentError("receipt", REFUSALS[refusal.reason]) from refusal


def check_closure(closure: bytes, job: Job, anchors: Anchors) -> None:
    """`DocumentError` unless ``closure`` closes the certificate of ``job``, signed by whoever ordered it."""
    assert job.certificate is not None, "a closure before the certificate"
    judge(job.certificate + closure, anchors)

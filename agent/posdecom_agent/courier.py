"""What the laptop carries as files where there is no network: the batch to the acquirer, receipts back to the terminal,
certificate to the acquirer, closure back to the job.

Nothing that comes in a file is taken on trust: receipts are judged by the terminal's own guard before they are kept,
so that a wrong one is refused at the desk of whoever brings it and not in the shop.
"""

from __future__ import annotations

from collections.abc import Sequence

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.wording import N_

from . import catalogue
from .job import Job
from .judgement import check_closure, check_receipts
from .trouble import Trouble


def require_custody(job: Job) -> None:
    """`Trouble` unless everything that the terminal holds is on this laptop, or a receipt made that unnecessary."""
    if not job.custody_is_complete and not job.receipts:
        missing = N_("all") if job.items_missing is None else job.items_missing
        raise Trouble(
            catalogue.CUSTODY_INCOMPLETE,
            cause=N_("{missing} of its messages are in the terminal alone", missing=missing),
        )


def bring_receipts(job: Job, receipts: Sequence[bytes], anchors: Anchors) -> None:
    """Keep one or two receipts that came as files; none changes nothing, the same again neither.

    `Trouble` where custody is not complete: whoever signs an exception accepts a loss, and what can still be read is
    not lost yet. `Trouble` too where the terminal would refuse them, with its reason.
    """
    if not receipts or tuple(receipts) == job.receipts:
        return
    if job.receipts:
        raise Trouble(catalogue.RECEIPT_REFUSED, cause=N_("the job has another receipt already"))
    require_custody(job)
    try:
        check_receipts(receipts, job, anchors)
    except DocumentError as error:
        raise Trouble(catalogue.RECEIPT_REFUSED, cause=str(error)) from error
    job.keep_receipts(receipts)


def bring_closure(job: Job, closure: bytes, anchors: Anchors) -> None:
    """Keep the closure of the job's newest certificate, which came as a file; the same again changes nothing.

    `Trouble` where it closes anything else, or is not signed by whoever gave the order.
    """
    if closure == job.closure:
        return
    try:
        if job.certificate is None:
            raise DocumentError("closure", N_("comes before the job's certificate"))
        if job.closure is not None:
            raise DocumentError("closure", N_("the job has another one already"))
        check_closure(closure, job, anchors)
    except DocumentError as error:
        raise Trouble(catalogue.DOCUMENT, cause=str(error)) from error
    job.keep_closure(closure)

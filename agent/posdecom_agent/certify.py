"""The technician's certificate over what a job holds. Pure: key and time are handed in.

A job that has one already gets one that supersedes it: the same documents, and what was stated since.

The state that it states is not this module's opinion: a draft is judged by the verdict that every reader will apply,
and what that derives is stated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cryptography
from cryptography.hazmat.backends.openssl import backend

from posdecom_protocol.certificates import Anchors
from posdecom_protocol.cose import SigningKey, digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import CasePoint, Certificate, State, Tool
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.evidence import Evidence
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.verdict import judge

from .case.checklist import certified_points, decode_case
from .case.proofs import Held
from .job import Job
from .replacement import case_point

TOOL_NAME: Final = "posdecom"


def certify(job: Job, technician: str, key: SigningKey, anchors: Anchors, version: str, now: float) -> bytes:
    """The signed certificate (COSE_Sign1). `DocumentError` if what the job holds does not fit together."""
    order = job.order
    draft = Certificate(
        certificate_id=f"{order.body.order_id}/{order.body.serial}",
        issued_at=int(now),
        serial=order.body.serial,
        technician=technician,
        stated=State.UNATTESTED,
        order=order.data,
        seal=None if job.seal is None else job.seal.data,
        receipts=job.receipts,
        evidence=job.evidence,
        case=(
            *certified_points(None if job.case is None else decode_case(job.case), held_by(job)),
            *_replaced(job),
        ),
        journal_head=job.journal_head,
        tool=Tool(TOOL_NAME, version, _crypto_versions()),
        supersedes=None if job.certificate is None else digest(job.certificate),
        revoke=order.body.revoke,
        remedies=job.remedies,
        salvage=None if job.seal is not None else job.salvage,
    )
    verdict = judge(issue(draft, key), anchors)
    return issue(replace(draft, stated=verdict.state_at_terminal), key)


def _replaced(job: Job) -> tuple[CasePoint, ...]:
    return () if job.replacement is None else (case_point(job.replacement),)


def held_by(job: Job) -> Held:
    """The documents of ``job``; each was judged before the job kept it."""
    return Held(
        order=job.order,
        seal=job.seal,
        receipts=tuple(open_document(receipt, Receipt) for receipt in job.receipts),
        evidence=None if job.evidence is None else open_document(job.evidence, Evidence),
        closure=None if job.closure is None else open_document(job.closure, Closure),
    )


def _crypto_versions() -> str:
    return f"cryptography {cryptography.__version__}, {backend.openssl_version_text()}"

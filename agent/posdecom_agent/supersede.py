"""A certificate that supersedes a job's newest one: with what people stated since, and refunds counted again."""

from __future__ import annotations

from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.wording import N_

from . import catalogue
from .job import Job
from .procedure import Stations, Step, Tell, carry_out, next_step
from .trouble import Trouble


def certify_again(job: Job, stations: Stations, tell: Tell, through: Step = Step.CLOSE) -> None:
    """A certificate that supersedes the newest, and its closure. `Trouble` where there is nothing new to certify.

    One that waits for its closure is closed, and no other is made, unless the desk will not have it: it counts at the
    closure's time, and the technician's day may be over. ``through`` CERTIFY asks no desk.
    """
    step = next_step(job)
    if step not in (Step.CLOSE, Step.DONE):
        raise Trouble(catalogue.NOTHING_TO_DO, cause=N_("the job has no certificate yet"))
    if step is Step.CLOSE and through is Step.CLOSE and _is_closed_now(job, stations, tell):
        return
    newer = stations.certify(job)
    if job.closure is not None and not _has_news(job, open_document(newer, Certificate).body):
        raise Trouble(catalogue.NOTHING_TO_DO, cause=N_("nothing was stated since, and no refund was open"))
    job.keep_certificate(newer)
    carry_out(job, stations, tell, through)


def _is_closed_now(job: Job, stations: Stations, tell: Tell) -> bool:
    """False where the desk declines the newest certificate as it is."""
    try:
        carry_out(job, stations, tell)
    except Trouble as trouble:
        if trouble.entry is not catalogue.MISMATCH:
            raise
        return False
    return True


def _has_news(job: Job, newer: Certificate) -> bool:
    """Something was stated since the newest certificate, or the acquirer has refunds to count again."""
    assert job.certificate is not None and job.closure is not None
    older = open_document(job.certificate, Certificate).body
    same = (newer.remedies, newer.case) == (older.remedies, older.case)
    return not same or open_document(job.closure, Closure).body.refunds_open > 0

"""The technician's certificate holds what the job holds, and states no better than every reader will derive."""

from __future__ import annotations

from dataclasses import replace

import pytest

from document_chain import ANCHORS, HANDS, SERIAL, TERMINALS
from posdecom_agent.certify import certify
from posdecom_agent.job import Job
from posdecom_agent.procedure import Step, carry_out
from posdecom_protocol.certificates import load_anchors
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import Certificate, State
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.iso8583 import IsoMessage
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer.host import Behaviour
from release_case import LATER, Case, CaseStations, begin_job, open_case


class RefusesAdvices(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0220" else None


def job_through(step: Step | None, case: Case | None = None) -> Job:
    case = case or open_case()
    job = begin_job(case)
    if step is not None:
        carry_out(job, CaseStations(case), lambda step, words: None, step)
    return job


def certified(job: Job) -> Certificate:
    data = certify(job, "A. Technician", HANDS.technician, ANCHORS, "1.2.3", LATER)
    assert judge(data, ANCHORS).serial == SERIAL
    return open_document(data, Certificate).body


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (None, State.UNATTESTED),
        (Step.FLUSH, State.INCOMPLETE),
        (Step.SETTLE, State.INCOMPLETE),
        (Step.AGREE, State.INCOMPLETE),
        (Step.ERASE, State.COMPLETE),
    ],
)
def test_what_is_stated_is_what_the_documents_prove(step: Step | None, state: State) -> None:
    assert certified(job_through(step)).stated is state


def test_what_was_refused_is_an_exception() -> None:
    case = open_case(count=12, behaviour=RefusesAdvices())
    assert certified(job_through(Step.ERASE, case)).stated is State.EXCEPTIONS


def test_it_holds_the_jobs_documents_byte_for_byte_and_who_made_it_with_what() -> None:
    job = job_through(Step.ERASE)
    body = certified(job)
    assert job.seal is not None
    assert (body.order, body.seal, body.receipts) == (job.order.data, job.seal.data, job.receipts)
    assert body.evidence == job.evidence
    assert body.journal_head == job.journal_head
    assert (body.serial, body.technician, body.issued_at) == (SERIAL, "A. Technician", int(LATER))
    assert (body.tool.name, body.tool.version) == ("posdecom", "1.2.3")
    assert "OpenSSL" in body.tool.crypto
    assert body.certificate_id == f"{job.order.body.order_id}/{SERIAL}"


def test_the_same_job_at_the_same_time_has_the_same_certificate() -> None:
    job = job_through(Step.ERASE)
    assert certified(job) == certified(job)


def test_what_nobody_here_trusts_is_not_certified() -> None:
    anchors = load_anchors(TERMINALS.pem())
    with pytest.raises(DocumentError):
        certify(job_through(Step.ERASE), "A. Technician", HANDS.technician, anchors, "0", LATER)


def test_another_role_cannot_certify() -> None:
    with pytest.raises(DocumentError, match="certificate"):
        certify(job_through(Step.ERASE), "A. Technician", HANDS.release, ANCHORS, "0", LATER)


def test_evidence_of_another_seal_is_not_certified() -> None:
    case = open_case()
    job = job_through(Step.AGREE, case)
    other = open_case(seed=2)
    other.settle()
    job.keep_once("evidence", other.evidence(other.receipts()))
    with pytest.raises(DocumentError, match="evidence: does not belong"):
        certify(job, "A. Technician", HANDS.technician, ANCHORS, "0", LATER)


def test_an_order_with_the_longest_name_can_be_certified_once_its_terminal_is_erased() -> None:
    name = "N" * 64
    case = open_case(count=12, order_changes=lambda order: replace(order, order_id=name))
    assert certified(job_through(Step.ERASE, case)).certificate_id == f"{name}/{SERIAL}"

"""The courier's walk from flush to closure over stations in memory: what it offers again, and where it waits."""

from __future__ import annotations

import pytest

from document_chain import ANCHORS
from posdecom_agent import catalogue
from posdecom_agent.job import Job
from posdecom_agent.procedure import DeskReply, Step, carry_out, next_step
from posdecom_agent.trouble import Trouble
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.iso8583 import IsoMessage, decode
from posdecom_protocol.records import ItemKind
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer.books import Exchange, decode_row
from posdecom_simulator.acquirer.host import Behaviour, Host
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from release_case import HSM, Case, CaseStations, begin_job, open_case, sequences_sent


def set_back(case: Case, sequence: int) -> None:
    """Host and desk with books that know nothing of one message, as if they had been restored from before it."""
    stan = int(decode(case.shop.prepared.items[sequence - 1].message).text(11))
    before = MemoryStore()
    before.append([row for row in case.ledger.rows() if not is_exchange(row, stan)])
    case.ledger = Ledger(before)
    case.host = Host(case.ledger, HSM)


def is_exchange(row: tuple[str, bytes], stan: int) -> bool:
    about = decode_row(*row)
    return isinstance(about, Exchange) and about.stan == stan


def sign_off_of(case: Case) -> int:
    items = case.shop.prepared.items
    return next(number for number, item in enumerate(items, 1) if item.kind is ItemKind.SIGN_OFF)


class RefusesAdvices(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0220" else None


def walk(job: Job, stations: CaseStations) -> list[str]:
    told: list[str] = []
    carry_out(job, stations, lambda step, words: told.append(f"{step.value}: {words}"))
    return told


def test_a_job_walks_from_flush_to_a_closed_certificate() -> None:
    case = open_case()
    job, stations = begin_job(case), CaseStations(case)
    told = walk(job, stations)
    assert [line for line in told if line.endswith("begins")] == [
        f"{step.value}: begins" for step in Step if step is not Step.DONE
    ]
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.COMPLETE


def test_a_message_that_the_books_lost_is_offered_again_and_nothing_else_is() -> None:
    case = open_case()
    job = begin_job(case)
    lost = sign_off_of(case)

    class LosesOne(CaseStations):
        def ask_receipt(self, job: Job) -> DeskReply:
            if "POST seals" not in self.asked:
                set_back(case, lost)
                self.sent.clear()
            return super().ask_receipt(job)

    stations = LosesOne(case)
    told = walk(job, stations)
    assert "agree: the desk misses 1 messages; offering them again" in told
    assert sequences_sent(case, stations.sent) == [lost]
    assert job.closure is not None


def test_what_is_still_missing_after_it_was_offered_again_is_for_a_person() -> None:
    case = open_case()
    job = begin_job(case)
    lost = sign_off_of(case)

    class NeverKeeps(CaseStations):
        def ask_receipt(self, job: Job) -> DeskReply:
            set_back(case, lost)
            return super().ask_receipt(job)

    with pytest.raises(Trouble) as caught:
        walk(job, NeverKeeps(case))
    assert caught.value.entry is catalogue.MISMATCH
    assert caught.value.cause == f"still missing after they were offered again: items {lost}"
    assert next_step(job) is Step.AGREE


def test_a_dead_host_leaves_a_job_that_waits_with_everything_in_custody() -> None:
    case = open_case()
    job, stations = begin_job(case), CaseStations(case, host_is_dead=True)
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    assert caught.value.entry is catalogue.HOST_UNREACHABLE
    assert job.custody_is_complete
    assert next_step(job) is Step.SETTLE
    stations.host_is_dead = False
    walk(job, stations)
    assert next_step(job) is Step.DONE


def test_a_second_signature_that_does_not_come_leaves_a_job_that_waits() -> None:
    case = open_case(count=12, behaviour=RefusesAdvices())
    case.approver = False
    job, stations = begin_job(case), CaseStations(case)
    with pytest.raises(Trouble) as caught:
        walk(job, stations)
    assert caught.value.entry is catalogue.WAITING
    assert next_step(job) is Step.AGREE
    case.approver = True
    walk(job, stations)
    assert len(job.receipts) == 2
    assert job.certificate is not None
    assert job.closure is not None
    assert judge(job.certificate + job.closure, ANCHORS).state is State.EXCEPTIONS

"""The merchant's list against the shop's day: every transaction once, masked, with what became of it."""

from __future__ import annotations

import pytest

from document_chain import DAY, NOW
from posdecom_agent.job import Job
from posdecom_agent.procedure import Step, carry_out
from posdecom_agent.statement import Line, lines, sums
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.iso8583 import IsoMessage
from posdecom_protocol.money import Tally, TransactionClass
from posdecom_simulator.acquirer.host import Behaviour
from release_case import Case, CaseStations, begin_job, open_case


def settled(case: Case, through: Step = Step.AGREE) -> Job:
    job = begin_job(case)
    carry_out(job, CaseStations(case), lambda step, words: None, through)
    return job


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("preauths", list(Preauths))
def test_every_transaction_of_the_day_is_listed_once(seed: int, preauths: Preauths) -> None:
    case = open_case(seed, 120, preauths=preauths)
    found = [(line.context.index, line.stan, line.amount) for line in lines(settled(case))]
    completed = {
        one.original for one in case.shop.day if one.transaction_class is TransactionClass.COMPLETION
    }
    expected = [(one.context, one.stan, one.amount) for one in case.shop.day if one.number not in completed]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("after", list(AfterCutoff))
def test_sums_are_the_seals_and_withheld_is_what_was_kept_back(after: AfterCutoff) -> None:
    case = open_case(2, 120, cutoff_at=NOW + 4 * 3600, after=after)
    for one in sums(settled(case)):
        assert one.agree_with_the_seal
        assert one.totals == one.context.totals
        withheld = [
            kept.amount for kept in case.shop.prepared.withheld if kept.currency == one.context.currency
        ]
        assert one.withheld == Tally(len(withheld), sum(withheld))


def by_stan(job: Job) -> dict[int, Line]:
    return {line.stan: line for line in lines(job)}


def test_before_settling_advices_are_not_sent_and_sales_are_posted() -> None:
    case = open_case()
    listed = by_stan(settled(case, Step.FLUSH))
    for one in case.shop.day:
        if one.transaction_class is TransactionClass.OFFLINE_SALE:
            assert listed[one.stan].status == ("posted at the time of sale" if one.posted else "not sent yet")


class RefusesAdvices(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0220" else None


def test_what_the_host_refused_is_listed_with_its_code() -> None:
    case = open_case(behaviour=RefusesAdvices())
    listed = by_stan(settled(case))
    unsent = [one for one in case.shop.day if not one.posted and one.transaction_class.name == "OFFLINE_SALE"]
    assert unsent
    assert {listed[one.stan].status for one in unsent} == {"refused by the host (05)"}


def test_a_refund_that_the_order_asked_for_is_a_line_of_its_own() -> None:
    case = open_case(3, 60, cutoff_at=NOW, after=AfterCutoff.REFUND)
    refunds = [line for line in lines(settled(case)) if line.transaction_class is TransactionClass.REFUND]
    prepared = [line for line in refunds if line.stan not in {one.stan for one in case.shop.day}]
    assert prepared
    assert {line.status for line in prepared} == {"delivered"}


def test_cards_show_six_digits_and_four_and_no_number_is_whole() -> None:
    case = open_case(1, 60, cutoff_at=NOW + DAY)
    listed = by_stan(settled(case))
    for one in case.shop.day:
        if one.stan in listed:
            assert listed[one.stan].card == f"{one.card_number[:6]}...{one.card_number[-4:]}"

"""Receipts that come as files: exactly this seal, signed by whom it takes, and only once everything is in custody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from document_chain import ACQUIRER, ANCHORS, APPROVER, DAY, HANDS, NOW, OTHER_ACQUIRER, Identity
from posdecom_agent import catalogue
from posdecom_agent.courier import bring_receipts, require_custody
from posdecom_agent.job import Job
from posdecom_agent.journal import MemoryJournal
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.trouble import Trouble
from posdecom_protocol.certificates import Role
from posdecom_protocol.cose import SigningKey
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis, Receipt
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.money import Tally
from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over
from posdecom_protocol.verdict import judge
from posdecom_simulator.authority import Validity
from release_case import Case, CaseStations, begin_job, open_case

SECOND_RELEASE = Identity("second release signer").hand(ACQUIRER, Role.RELEASE)
FOREIGN_APPROVER = Identity("foreign approver").hand(OTHER_ACQUIRER, Role.APPROVER)


def released(not_before: int, not_after: int, role: Role = Role.RELEASE) -> SigningKey:
    """A signer of the acquirer with a certificate for these times."""
    return Identity(f"timely {role}").hand(ACQUIRER, role, validity=Validity(not_before, not_after))


def exception(case: Case, seal: bytes | None = None) -> Receipt:
    """Nothing could be delivered: all of it is given up, on the word of two signers."""
    order, sealed = open_document(case.order, Order), open_document(seal or case.seal, Seal)
    findings = {
        context.index: Findings(undelivered=all_delivered(context).delivered)
        for context in sealed.body.contexts
    }
    terms = Terms("R-exception", "acquirer-a", NOW + 3600, Basis.EXCEPTION, "the host is gone for good")
    return receipt_over(order, sealed, findings, terms)


def signed(body: Receipt, *hands: SigningKey) -> list[bytes]:
    return [issue(body, hand) for hand in hands]


def flushed(case: Case) -> Job:
    """Everything in custody, and a host that does not answer."""
    job = begin_job(case)
    carry_out(job, CaseStations(case, host_is_dead=True), lambda step, words: None, Step.FLUSH)
    return job


@pytest.mark.parametrize("second", [APPROVER, SECOND_RELEASE], ids=["approver", "another release signer"])
def test_two_signers_over_exactly_this_seal_release_it_with_the_host_dead(second: SigningKey) -> None:
    case = open_case()
    job = flushed(case)
    bring_receipts(job, signed(exception(case), HANDS.release, second), ANCHORS)
    assert next_step(job) is Step.ERASE
    stations = CaseStations(case, host_is_dead=True)
    carry_out(job, stations, lambda step, words: None)
    assert stations.sent == []
    assert job.certificate is not None
    assert job.closure is not None
    verdict = judge(job.certificate + job.closure, ANCHORS)
    assert verdict.state is State.EXCEPTIONS
    texts = [finding.text for finding in verdict.findings]
    assert "released by exception, with two acquirer signatures" in texts
    for context in case.seal_body.contexts:
        lost = all_delivered(context).delivered
        name = f"context {context.index}, currency {context.currency:03d}"
        assert f"{name}: {lost.count} transactions ({lost.amount} in minor units) not delivered" in texts
        for totals in context.totals:
            sides = [
                f"{word} {one.count} transactions ({one.amount} in minor units)"
                for word, one in (("debit", totals.debit), ("credit", totals.credit))
            ]
            assert f"{name}, {totals.group.name.lower()} cards: sealed {', '.join(sides)}" in texts


def another_seal(case: Case) -> bytes:
    """The same terminal, frozen once more under the same order."""
    return issue(replace(case.seal_body, sealed_at=case.seal_body.sealed_at + 60), HANDS.seal)


Change = Callable[[Case], Sequence[bytes]]
REFUSED: dict[str, tuple[Change, str]] = {
    "over another seal": (
        lambda case: signed(exception(case, another_seal(case)), HANDS.release, APPROVER),
        "it does not agree with this terminal's seal and totals",
    ),
    "with the challenge of an earlier freeze": (
        lambda case: signed(replace(exception(case), challenge=bytes(32)), HANDS.release, APPROVER),
        "it was made for an earlier freeze of this terminal",
    ),
    "of another order": (
        lambda case: signed(replace(exception(case), order_digest=bytes(32)), HANDS.release, APPROVER),
        "it belongs to another order",
    ),
    "of another terminal": (
        lambda case: signed(replace(exception(case), serial="T-0002"), HANDS.release, APPROVER),
        "it names another terminal",
    ),
    "signed once": (
        lambda case: signed(exception(case), HANDS.release),
        "a signature is missing, invalid, or not by two different keys",
    ),
    "signed twice by one key": (
        lambda case: signed(exception(case), HANDS.release, HANDS.release),
        "a signature is missing, invalid, or not by two different keys",
    ),
    "signed over two different texts": (
        lambda case: [
            *signed(exception(case), HANDS.release),
            *signed(replace(exception(case), remark="less"), APPROVER),
        ],
        "a signature is missing, invalid, or not by two different keys",
    ),
    "approved by whom nobody asked": (
        lambda case: signed(exception(case), HANDS.release, FOREIGN_APPROVER),
        "the signer does not belong to the acquirer that this terminal trusts",
    ),
    "signed by an approver alone in first place": (
        lambda case: signed(exception(case), APPROVER, HANDS.release),
        "the signer's certificate does not carry the role for this document",
    ),
    "by a signer whose certificate was over": (
        lambda case: signed(exception(case), released(NOW - 9 * DAY, NOW), APPROVER),
        "has expired",
    ),
    "by a signer whose certificate had not begun": (
        lambda case: signed(exception(case), released(NOW + DAY, NOW + 9 * DAY), APPROVER),
        "is not yet valid",
    ),
    "approved by a signer whose certificate was over": (
        lambda case: signed(exception(case), HANDS.release, released(NOW - 9 * DAY, NOW, Role.APPROVER)),
        "has expired",
    ),
    "that are no receipts": (
        lambda case: [case.order],
        "it is not a document of the type and version that is needed",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_receipts_are_refused(name: str) -> None:
    change, words = REFUSED[name]
    case = open_case()
    job = flushed(case)
    with pytest.raises(Trouble) as caught:
        bring_receipts(job, change(case), ANCHORS)
    assert caught.value.entry is catalogue.RECEIPT_REFUSED
    assert words in caught.value.cause
    assert job.receipts == ()


@pytest.mark.parametrize("held", [0, 1, -1], ids=["nothing", "one item", "all but one item"])
def test_an_exception_is_refused_while_anything_is_in_the_terminal_alone(held: int) -> None:
    case = open_case()
    job = begin_job(case)
    if held:
        job.keep_seal(case.seal)
        job.keep_items(1, case.items[:held])
    with pytest.raises(Trouble) as caught:
        bring_receipts(job, signed(exception(case), HANDS.release, APPROVER), ANCHORS)
    assert caught.value.entry is catalogue.CUSTODY_INCOMPLETE
    missing = {0: "all", 1: str(len(case.items) - 1), -1: "1"}[held]
    assert caught.value.cause == f"{missing} of its messages are in the terminal alone"
    assert job.receipts == ()


def test_the_same_receipts_again_change_nothing_and_others_are_refused() -> None:
    case = open_case()
    job = flushed(case)
    receipts = signed(exception(case), HANDS.release, APPROVER)
    bring_receipts(job, receipts, ANCHORS)
    head = job.journal_head
    bring_receipts(job, receipts, ANCHORS)
    bring_receipts(job, [], ANCHORS)
    assert job.journal_head == head
    with pytest.raises(Trouble, match="PD-E55"):
        bring_receipts(job, signed(exception(case), HANDS.release, SECOND_RELEASE), ANCHORS)


def test_custody_is_not_asked_for_where_a_receipt_is_there() -> None:
    case = open_case()
    job = flushed(case)
    require_custody(job)
    with pytest.raises(Trouble, match="PD-E54"):
        require_custody(Job(MemoryJournal()))


def test_what_an_agreed_receipt_says_was_lost_needs_the_second_signature_too() -> None:
    case = open_case()
    job = flushed(case)
    agreed = replace(exception(case), basis=Basis.AGREED)
    short = replace(agreed.contexts[0], undelivered=Tally(1, 100))
    with pytest.raises(Trouble, match="PD-E55"):
        bring_receipts(
            job, signed(replace(agreed, contexts=(short, *agreed.contexts[1:])), HANDS.release), ANCHORS
        )

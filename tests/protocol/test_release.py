"""The receipt that findings amount to: what it repeats of the seal, and that the guard takes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from document_chain import APPROVER, HANDS, Documents, Script, holding, write_chain
from posdecom_protocol.cose import digest
from posdecom_protocol.documents import Signed, issue, open_document
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Basis, Refusal
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.guard import GuardRefusal, check_release
from posdecom_protocol.messages import Refusal as GuardReason
from posdecom_protocol.money import CardGroup, GroupTotals, Tally
from posdecom_protocol.release import Findings, Terms, all_delivered, receipt_over

TERMS = Terms("R-9", "acquirer-a", 1_800_003_600)
DOCUMENTS = write_chain()


def opened(documents: Documents = DOCUMENTS) -> tuple[Signed[Order], Signed[Seal]]:
    return open_document(documents.order, Order), open_document(documents.seal, Seal)


def test_it_repeats_the_seal_and_says_what_was_found() -> None:
    order, seal = opened()
    found = Findings(
        Tally(1, 3000), Tally(1, 300), Tally(1, 200), Tally(4, 50), (Refusal(3, "14"),), Tally(1, 7)
    )
    receipt = receipt_over(
        order, seal, {0: found}, replace(TERMS, remark="see the case", basis=Basis.EXCEPTION)
    )
    assert (receipt.receipt_id, receipt.issuer, receipt.issued_at) == ("R-9", "acquirer-a", 1_800_003_600)
    assert (receipt.remark, receipt.basis) == ("see the case", Basis.EXCEPTION)
    assert (receipt.serial, receipt.challenge) == (seal.body.serial, seal.body.challenge)
    assert receipt.order_digest == digest(DOCUMENTS.order)
    assert receipt.seal_digest == digest(DOCUMENTS.seal)
    (context,) = receipt.contexts
    assert (context.index, context.currency) == (0, seal.body.contexts[0].currency)
    assert context.totals == seal.body.contexts[0].totals
    assert (context.delivered, context.refused) == (Tally(1, 3000), Tally(1, 300))
    assert (context.undelivered, context.withheld) == (Tally(1, 200), Tally(4, 50))
    assert (context.refusals, context.held) == ((Refusal(3, "14"),), Tally(1, 7))


def test_an_empty_context_is_in_no_receipt() -> None:
    order, seal = opened()
    assert [context.is_empty for context in seal.body.contexts] == [False, True]
    receipt = receipt_over(order, seal, {0: Findings(), 1: Findings()}, TERMS)
    assert [context.index for context in receipt.contexts] == [0]


def test_all_delivered_is_both_sides_of_every_group() -> None:
    totals = (
        GroupTotals(CardGroup.DOMESTIC, Tally(2, 3000), Tally(1, 500)),
        GroupTotals(CardGroup.FOREIGN, Tally(3, 70), Tally(4, 8)),
    )
    _, seal = opened()
    context = replace(seal.body.contexts[0], totals=totals)
    assert all_delivered(context) == Findings(delivered=Tally(10, 3578))


@pytest.mark.parametrize(
    ("findings", "basis", "needed"),
    [
        (Findings(delivered=Tally(3, 3500)), Basis.AGREED, False),
        (Findings(delivered=Tally(3, 3500), withheld=Tally(1, 100)), Basis.AGREED, False),
        (Findings(delivered=Tally(2, 3400), refused=Tally(1, 100)), Basis.AGREED, True),
        (Findings(delivered=Tally(2, 3500), refused=Tally(1, 0)), Basis.AGREED, True),
        (Findings(delivered=Tally(2, 3400), undelivered=Tally(1, 100)), Basis.AGREED, True),
        (Findings(delivered=Tally(3, 3500)), Basis.EXCEPTION, True),
    ],
)
def test_a_second_signature_is_needed_wherever_money_could_be_lost(
    findings: Findings, basis: Basis, needed: bool
) -> None:
    order, seal = opened()
    receipt = receipt_over(order, seal, {0: findings}, replace(TERMS, basis=basis))
    assert receipt.needs_second_signature is needed
    first, second = issue(receipt, HANDS.release), issue(receipt, APPROVER)
    assert check_release((first, second), holding(DOCUMENTS)).receipt == receipt
    if needed:
        with pytest.raises(GuardRefusal) as refusal:
            check_release((first,), holding(DOCUMENTS))
        assert refusal.value.reason is GuardReason.SIGNATURES
    else:
        assert check_release((first,), holding(DOCUMENTS)).receipt == receipt


def test_a_receipt_over_another_seal_is_refused_by_this_one() -> None:
    other = write_chain(Script(seal=lambda seal: replace(seal, boot_count=99)))
    order, seal = opened(other)
    receipt = receipt_over(order, seal, {0: all_delivered(seal.body.contexts[0])}, TERMS)
    with pytest.raises(GuardRefusal) as refusal:
        check_release((issue(receipt, HANDS.release),), holding(DOCUMENTS))
    assert refusal.value.reason is GuardReason.SEAL

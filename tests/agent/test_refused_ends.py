"""A host that refuses details, the totals or the end of a batch: the receipt names each and needs two signers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from any_host import Acquirer, Courier, Laptop
from posdecom_agent import catalogue
from posdecom_agent.catalogue import Exit
from posdecom_agent.procedure import Step, carry_out, next_step
from posdecom_agent.trouble import Trouble
from posdecom_protocol.iso8583 import decode
from posdecom_protocol.money import CardGroup
from posdecom_protocol.records import ItemKind, encode_item
from posdecom_simulator.acquirer.behaviour import HostFault, Rule
from release_case import open_case, reason
from shop import CONTEXTS

UNBALANCED = tuple(Rule(HostFault.NOT_BALANCED, group=group) for group in CardGroup)
ENDS = [
    ("cup", ItemKind.END_BALANCED, ()),
    ("cup", ItemKind.END_UNBALANCED, UNBALANCED),
    ("edc", ItemKind.CLOSE, UNBALANCED),
]


def first(acquirer: Acquirer, kind: ItemKind) -> tuple[int, int]:
    """Sequence and STAN."""
    items = enumerate(acquirer.case.shop.prepared.items, 1)
    sequence, message = next((n, one.message) for n, one in items if one.kind is kind)
    return sequence, int(decode(message).text(11))


def refusing(dialect: str, kind: ItemKind, rules: tuple[Rule, ...]) -> tuple[Acquirer, int]:
    """The first message of this kind is refused by its STAN; its sequence."""
    sequence, stan = first(Acquirer.open(dialects=(dialect,)), kind)
    refusal = Rule(HostFault.REFUSE, stan=frozenset({stan}))
    return Acquirer.open((*rules, refusal), dialects=(dialect,)), sequence


def agree(acquirer: Acquirer) -> Laptop:
    laptop = Laptop(acquirer.case)
    carry_out(laptop.start(), Courier.to(acquirer), lambda step, words: None, Step.AGREE)
    assert next_step(laptop.start()) is Step.ERASE
    return laptop


def assert_listed(acquirer: Acquirer, sequence: int) -> None:
    (context,) = acquirer.case.receipt().contexts
    assert [(one.sequence, one.code) for one in context.refusals] == [(sequence, "05")]
    assert context.refused.count == 0, "no money was refused"
    assert len(acquirer.case.receipts()) == 2


@pytest.mark.parametrize(("dialect", "kind", "rules"), ENDS)
def test_a_refused_end_of_the_batch_is_listed_for_two_signers(
    dialect: str, kind: ItemKind, rules: tuple[Rule, ...]
) -> None:
    acquirer, sequence = refusing(dialect, kind, rules)
    agree(acquirer)
    (context,) = acquirer.case.contexts
    assert acquirer.case.ledger.batch_end(context.tid, context.batch) is None
    assert_listed(acquirer, sequence)


@pytest.mark.parametrize("dialect", ["cup", "edc"])
def test_refused_totals_are_listed_for_two_signers(dialect: str) -> None:
    acquirer, sequence = refusing(dialect, ItemKind.TOTALS, ())
    agree(acquirer)
    assert_listed(acquirer, sequence)


@pytest.mark.parametrize("dialect", ["cup", "edc"])
def test_a_refused_detail_is_listed_for_two_signers_though_the_batch_ended(dialect: str) -> None:
    acquirer, sequence = refusing(dialect, ItemKind.UPLOAD, UNBALANCED)
    agree(acquirer)
    (context,) = acquirer.case.contexts
    assert acquirer.case.ledger.batch_end(context.tid, context.batch) is not None
    assert_listed(acquirer, sequence)


def test_without_the_second_signer_a_refused_end_waits() -> None:
    acquirer, _ = refusing(*ENDS[0])
    acquirer.case.approver = False
    with pytest.raises(Trouble) as stopped:
        agree(acquirer)
    assert stopped.value.exit is Exit.FLUSH_INCOMPLETE


def test_a_reversal_that_restored_books_lost_before_the_batch_ended_waits_for_two_signers() -> None:
    """It comes again after the end, and the host says 77 for good: the sale stays booked, and people give it back."""
    restored = Rule(HostFault.FORGET, mti=frozenset({"0320"}), at=frozenset({1}), messages=30)
    acquirer = Acquirer.open((*UNBALANCED, restored))
    sequence, _ = first(acquirer, ItemKind.REVERSAL)
    acquirer.case.approver = False
    with pytest.raises(Trouble) as stopped:
        agree(acquirer)
    assert stopped.value.entry is catalogue.WAITING
    assert stopped.value.cause == "something was refused: a second signer has to approve it"
    acquirer.case.approver = True
    agree(acquirer)
    (context,) = acquirer.case.receipt().contexts
    assert (sequence, "77") in [(one.sequence, one.code) for one in context.refusals]
    assert len(acquirer.case.receipts()) == 2


def test_a_batch_whose_end_was_never_prepared_gets_no_receipt() -> None:
    """The terminal's software forgot the message, the seal is over what there is: nobody can end that batch."""
    case = open_case(contexts=CONTEXTS[:1])
    ends = {ItemKind.END_BALANCED, ItemKind.END_UNBALANCED}
    case.items = [encode_item(one) for one in case.shop.prepared.items if one.kind not in ends]
    for item in case.shop.prepared.items:
        if item.kind not in ends:
            case.host.answer(item.message, 0.0)
    case.reseal(lambda seal: replace(seal, contexts=(replace(seal.contexts[0], item_last=len(case.items)),)))
    assert reason(case.post()) == "context 0: nothing has ended its batch"

"""The order's cut-off, cell by cell, through terminal, host and desk: what is sent, withheld, refunded, held, listed.

Every case is a day of very few transactions, sold an hour before or after the cut-off, frozen, settled in full, and
judged by the desk. The books are counted by STAN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from document_chain import ANCHORS, order_body
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.certificate import State
from posdecom_protocol.documents.closure import Closure
from posdecom_protocol.documents.order import Account, AfterCutoff, Preauths
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.remedy import Held
from posdecom_protocol.money import CardGroup, GroupTotals, Tally, TransactionClass
from posdecom_protocol.records import ItemKind
from posdecom_protocol.verdict import judge
from posdecom_simulator.acquirer.books import Posting, decode_row, encode_row
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.population import Transaction
from posdecom_simulator.terminal.prepare import Rules
from release_case import LATER, Case, case_of
from shop import CONTEXTS, START_S, freeze_day

CUTOFF_AT = START_S + 6 * 3600
BEFORE, AFTER = CUTOFF_AT - 3600, CUTOFF_AT + 3600
REFUND, HOLD = AfterCutoff.REFUND, AfterCutoff.HOLD
BOTH_RULES = pytest.mark.parametrize("rule", [REFUND, HOLD], ids=["refund", "hold"])
CONTEXT = CONTEXTS[:1]
CARD = "6200000000000005"
NONE = Tally()


def sold(
    kind: TransactionClass, at: int, *, posted: bool = True, number: int = 1, original: int | None = None
) -> Transaction:
    """One transaction of 10.00 by the terminal's clock at ``at``."""
    return Transaction(
        number=number,
        context=0,
        transaction_class=kind,
        card_number=CARD,
        expiry="3012",
        group=CardGroup.DOMESTIC,
        amount=1000,
        stan=100 + number,
        rrn="701508123456" if posted else " " * 12,
        auth_code="" if kind is TransactionClass.REVERSAL else "A1B2C3",
        local_time=datetime.fromtimestamp(at, UTC).strftime("%y%m%d%H%M%S"),
        posted=posted,
        original=original,
    )


def settled(day: Sequence[Transaction], rule: AfterCutoff, preauths: Preauths = Preauths.LIST) -> Case:
    """The day under an order with this rule, after the whole conversation."""
    body = replace(
        order_body(),
        accounts=tuple(Account(one.acquirer, one.mid, one.tid) for one in CONTEXT),
        cutoff_at=CUTOFF_AT,
        after_cutoff=rule,
        preauths=preauths,
    )
    case = case_of(freeze_day(day, Rules.from_order(body), CONTEXT), body, CONTEXT)
    case.settle()
    return case


def kinds(case: Case) -> list[ItemKind]:
    """Of the messages about one transaction, but for uploads."""
    own = {ItemKind.REVERSAL, ItemKind.ADVICE, ItemKind.PREAUTH_VOID, ItemKind.REFUND}
    return [item.kind for item in case.shop.prepared.items if item.kind in own]


def booked(case: Case) -> list[tuple[int, str]]:
    """STAN of the shop's own and class of everything; a refund that was prepared has the STAN 0 here."""
    found = case.ledger.postings(CONTEXT[0].tid, CONTEXT[0].batch)
    of_day = {one.stan for one in case.shop.day}
    return sorted((one.stan if one.stan in of_day else 0, one.transaction_class.name) for one in found)


def totals(case: Case) -> GroupTotals:
    """Domestic, as seal and books say alike."""
    domestic = case.context(0).totals[0]
    assert case.ledger.totals(CONTEXT[0].tid, CONTEXT[0].batch)[0] == domestic
    return domestic


def state(case: Case) -> State:
    """What a certificate over it would prove."""
    certificate = case.certificate()
    closed = case.desk.post_certificate(certificate, LATER)
    assert closed.status == 200, closed.body
    return judge(certificate + closed.body, ANCHORS).state


def money(receipt: Receipt) -> tuple[Tally, Tally, Tally]:
    (context,) = receipt.contexts
    return context.delivered, context.refused, context.withheld


def held(case: Case) -> Tally:
    (context,) = case.receipt().contexts
    return context.held


# --- online sale, already posted


@BOTH_RULES
def test_an_online_sale_before_the_cut_off_is_settled(rule: AfterCutoff) -> None:
    case = settled([sold(TransactionClass.SALE, BEFORE)], rule)
    assert kinds(case) == []
    assert booked(case) == [(101, "SALE")]
    assert totals(case).debit == Tally(1, 1000)
    assert money(case.receipt()) == (Tally(1, 1000), NONE, NONE)
    assert held(case) == NONE
    assert state(case) is State.COMPLETE


def test_an_online_sale_after_the_cut_off_is_settled_and_refunded_where_the_order_says_refund() -> None:
    case = settled([sold(TransactionClass.SALE, AFTER)], REFUND)
    assert kinds(case) == [ItemKind.REFUND]
    assert booked(case) == [(0, "REFUND"), (101, "SALE")]
    assert (totals(case).debit, totals(case).credit) == (Tally(1, 1000), Tally(1, 1000))
    assert money(case.receipt()) == (Tally(2, 2000), NONE, NONE)
    assert held(case) == NONE
    assert state(case) is State.COMPLETE


def test_an_online_sale_after_the_cut_off_is_settled_and_listed_as_held_where_the_order_says_hold() -> None:
    case = settled([sold(TransactionClass.SALE, AFTER)], HOLD)
    assert kinds(case) == []
    assert booked(case) == [(101, "SALE")]
    assert money(case.receipt()) == (Tally(1, 1000), NONE, NONE)
    assert held(case) == Tally(1, 1000)
    (item,) = judge(case.certificate(), ANCHORS).held
    assert (item.held, item.listed, item.open) == (Held.SOLD_LATE, Tally(1, 1000), Tally(1, 1000))
    assert state(case) is State.COMPLETE


@BOTH_RULES
def test_an_online_sale_after_the_cut_off_that_was_voided_is_neither_refunded_nor_held(
    rule: AfterCutoff,
) -> None:
    day = [
        sold(TransactionClass.SALE, AFTER),
        sold(TransactionClass.VOID, AFTER + 60, number=2, original=1),
    ]
    case = settled(day, rule)
    assert kinds(case) == []
    assert booked(case) == [(101, "SALE"), (102, "VOID")]
    assert held(case) == NONE


def test_a_sale_after_the_cut_off_is_held_where_the_void_beside_it_is_of_an_earlier_one() -> None:
    """Card and amount are those of the sale that was voided."""
    day = [
        sold(TransactionClass.SALE, BEFORE),
        sold(TransactionClass.VOID, AFTER, number=2, original=1),
        sold(TransactionClass.SALE, AFTER, number=3),
    ]
    assert held(settled(day, HOLD)) == Tally(1, 1000)


def test_what_a_refund_left_of_a_sale_after_the_cut_off_is_held() -> None:
    refund = replace(sold(TransactionClass.REFUND, AFTER, number=2, original=1), amount=400)
    case = settled([sold(TransactionClass.SALE, AFTER), refund], HOLD)
    assert held(case) == Tally(1, 600)


def test_a_refund_that_the_host_had_before_the_visit_is_none_that_the_banks_still_owe() -> None:
    refund = sold(TransactionClass.REFUND, AFTER, number=2, original=1)
    case = settled([sold(TransactionClass.SALE, AFTER), refund], HOLD)
    case.clearing_s = 10 * 86_400.0
    case.receipt()
    closure = case.desk.post_certificate(case.certificate(), LATER)
    assert closure.status == 200, closure.body
    assert open_document(closure.body, Closure).body.refunds_open == 0


# --- offline sale, advice not yet sent


@BOTH_RULES
def test_an_offline_sale_before_the_cut_off_is_sent_and_settled(rule: AfterCutoff) -> None:
    case = settled([sold(TransactionClass.OFFLINE_SALE, BEFORE, posted=False)], rule)
    assert kinds(case) == [ItemKind.ADVICE]
    assert booked(case) == [(101, "OFFLINE_SALE")]
    assert money(case.receipt()) == (Tally(1, 1000), NONE, NONE)
    assert state(case) is State.COMPLETE


@BOTH_RULES
def test_an_offline_sale_after_the_cut_off_is_withheld_and_listed_because_nobody_was_charged(
    rule: AfterCutoff,
) -> None:
    case = settled([sold(TransactionClass.OFFLINE_SALE, AFTER, posted=False)], rule)
    assert kinds(case) == []
    assert booked(case) == []
    assert totals(case).debit == NONE
    assert money(case.receipt()) == (NONE, NONE, Tally(1, 1000))
    assert [one.stan for one in case.shop.prepared.withheld] == [101]
    assert state(case) is State.EXCEPTIONS


# --- reversal, void, refund


@BOTH_RULES
@pytest.mark.parametrize("at", [BEFORE, AFTER], ids=["before", "after"])
def test_a_reversal_is_sent_whenever_the_sale_was(at: int, rule: AfterCutoff) -> None:
    """The host had booked the sale, and its answer was lost: only the reversal makes both sides equal."""
    case = settled([sold(TransactionClass.REVERSAL, at)], rule)
    assert kinds(case) == [ItemKind.REVERSAL]
    assert booked(case) == []
    assert money(case.receipt()) == (NONE, NONE, NONE)


@BOTH_RULES
@pytest.mark.parametrize("at", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("kind", [TransactionClass.VOID, TransactionClass.REFUND])
def test_a_void_or_refund_that_was_not_sent_yet_is_sent_whenever_it_was_made(
    kind: TransactionClass, at: int, rule: AfterCutoff
) -> None:
    day = [
        sold(TransactionClass.SALE, BEFORE - 60),
        sold(kind, at, posted=False, number=2, original=1 if kind is TransactionClass.VOID else None),
    ]
    case = settled(day, rule)
    assert kinds(case) == [ItemKind.ADVICE]
    assert booked(case) == [(101, "SALE"), (102, kind.name)]
    assert (totals(case).debit, totals(case).credit) == (Tally(1, 1000), Tally(1, 1000))
    assert money(case.receipt()) == (Tally(2, 2000), NONE, NONE)


@BOTH_RULES
@pytest.mark.parametrize("at", [BEFORE, AFTER], ids=["before", "after"])
@pytest.mark.parametrize("kind", [TransactionClass.VOID, TransactionClass.REFUND])
def test_a_void_or_refund_that_the_host_has_is_settled_whenever_it_was_made(
    kind: TransactionClass, at: int, rule: AfterCutoff
) -> None:
    case = settled([sold(TransactionClass.SALE, BEFORE - 60), sold(kind, at, number=2, original=1)], rule)
    assert kinds(case) == []
    assert booked(case) == [(101, "SALE"), (102, kind.name)]


# --- pre-authorisation


@BOTH_RULES
@pytest.mark.parametrize("at", [BEFORE, AFTER], ids=["before", "after"])
def test_an_open_preauthorisation_is_voided_where_the_order_says_void(at: int, rule: AfterCutoff) -> None:
    case = settled([sold(TransactionClass.PREAUTH, at)], rule, Preauths.VOID)
    assert kinds(case) == [ItemKind.PREAUTH_VOID]
    assert booked(case) == []
    assert money(case.receipt()) == (NONE, NONE, NONE)
    assert [one.stan for one in case.seal_body.preauths] == [101]


@BOTH_RULES
@pytest.mark.parametrize("at", [BEFORE, AFTER], ids=["before", "after"])
def test_an_open_preauthorisation_is_listed_where_the_order_says_list(at: int, rule: AfterCutoff) -> None:
    case = settled([sold(TransactionClass.PREAUTH, at)], rule, Preauths.LIST)
    assert kinds(case) == []
    assert booked(case) == [(101, "PREAUTH")]
    assert [one.stan for one in case.seal_body.preauths] == [101]
    assert totals(case) == GroupTotals(CardGroup.DOMESTIC)


@BOTH_RULES
@pytest.mark.parametrize("preauths", list(Preauths))
def test_a_completed_preauthorisation_is_a_sale_and_neither_voided_nor_listed(
    preauths: Preauths, rule: AfterCutoff
) -> None:
    day = [
        sold(TransactionClass.PREAUTH, BEFORE),
        sold(TransactionClass.COMPLETION, BEFORE + 60, number=2, original=1),
    ]
    case = settled(day, rule, preauths)
    assert kinds(case) == []
    assert case.seal_body.preauths == ()
    assert totals(case).debit == Tally(1, 1000)


# --- a clock that is wrong


def test_a_terminal_whose_clock_was_slow_prepares_no_refund_and_the_desk_says_what_is_held() -> None:
    """The sale carries a time before the cut-off; the host saw it after. The terminal's clock is evidence only."""
    case = settled([sold(TransactionClass.SALE, BEFORE)], REFUND)
    before = MemoryStore()
    before.append([by_the_hosts_clock(row) for row in case.ledger.rows()])
    case.ledger = Ledger(before)
    assert kinds(case) == []
    assert held(case) == Tally(1, 1000)


def by_the_hosts_clock(row: tuple[str, bytes]) -> tuple[str, bytes]:
    """What was sold online was sold after the cut-off."""
    about = decode_row(*row)
    return encode_row(replace(about, at=AFTER)) if isinstance(about, Posting) else row

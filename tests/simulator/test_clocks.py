"""A terminal whose clock is wrong or in another time zone: which sales count as made after the cut-off.

What went online has the host's time. What was made offline lies between its neighbours. Only where those stand on
both sides of the cut-off does the terminal's clock decide, and there the desk looks again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from document_chain import order_body
from posdecom_protocol.documents.order import Account, AfterCutoff, Preauths
from posdecom_protocol.money import CardGroup, Tally, TransactionClass
from posdecom_protocol.records import ItemKind, Summary, encode_item
from posdecom_simulator.acquirer.books import Posting, decode_row, encode_row
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.brackets import When, place
from posdecom_simulator.population import Transaction, populate
from posdecom_simulator.terminal.prepare import Rules
from posdecom_world import oracle
from release_case import Case, case_of, reason
from shop import CONTEXTS, START_S, freeze_day

HOUR, YEAR = 3600, 366 * 86_400
CUTOFF_AT = START_S + 6 * HOUR
BEFORE, AFTER = CUTOFF_AT - HOUR, CUTOFF_AT + HOUR
ALONE = CONTEXTS[:1]
CLOCKS = pytest.mark.parametrize(
    "error_s",
    [0, 3 * HOUR, -3 * HOUR, 8 * HOUR, -5 * HOUR, 3 * YEAR, -3 * YEAR],
    ids=["right", "3 h ahead", "3 h behind", "in Shanghai", "in Lima", "3 years ahead", "3 years behind"],
)


def sold(kind: TransactionClass, number: int, at: int, error_s: int = 0) -> Transaction:
    """10.00 at ``at`` by the host's clock; the record of an offline one has the terminal's."""
    online = kind is TransactionClass.SALE
    clock = datetime.fromtimestamp(at if online else at + error_s, UTC)
    return Transaction(
        number, 0, kind, "6200000000000005", "3012", CardGroup.DOMESTIC, 1000, 100 + number,
        "701508123456" if online else " " * 12, "A1B2C3", clock.strftime("%y%m%d%H%M%S"), online, None,
    )  # fmt: skip


def online(number: int, at: int) -> Transaction:
    return sold(TransactionClass.SALE, number, at)


def offline(number: int, at: int, error_s: int = 0) -> Transaction:
    return sold(TransactionClass.OFFLINE_SALE, number, at, error_s)


def frozen(day: Sequence[Transaction], error_s: int, rule: AfterCutoff = AfterCutoff.HOLD) -> Case:
    body = replace(
        order_body(),
        accounts=(Account(ALONE[0].acquirer, ALONE[0].mid, ALONE[0].tid),),
        cutoff_at=CUTOFF_AT,
        after_cutoff=rule,
        preauths=Preauths.LIST,
    )
    case = case_of(freeze_day(day, Rules.from_order(body), ALONE), body, ALONE)
    case.reseal(lambda seal: replace(seal, clock_offset_s=error_s, sealed_at=seal.sealed_at + error_s))
    return case


def withheld(case: Case) -> list[int]:
    return [one.record for one in case.shop.prepared.withheld]


def advised(case: Case) -> list[int]:
    items = case.shop.prepared.items
    return [one.summary.record for one in items if one.kind is ItemKind.ADVICE and one.summary is not None]


def held(case: Case) -> Tally:
    case.settle()
    (context,) = case.receipt().contexts
    return context.held


# --- where the neighbours leave no doubt, no clock matters


@CLOCKS
def test_an_offline_sale_in_front_of_an_online_one_before_the_cut_off_is_sent(error_s: int) -> None:
    case = frozen([offline(1, BEFORE - 60, error_s), online(2, BEFORE)], error_s)
    assert (advised(case), withheld(case)) == ([1], [])
    assert held(case) == Tally()


@CLOCKS
def test_an_offline_sale_behind_an_online_one_after_the_cut_off_is_withheld(error_s: int) -> None:
    case = frozen([online(1, AFTER), offline(2, AFTER + 60, error_s)], error_s)
    assert (advised(case), withheld(case)) == ([], [2])
    assert held(case) == Tally(1, 1000), "the online sale, for the rule is hold"


@CLOCKS
def test_an_offline_sale_between_two_from_before_the_cut_off_is_sent(error_s: int) -> None:
    case = frozen([online(1, BEFORE - 60), offline(2, BEFORE - 30, error_s), online(3, BEFORE)], error_s)
    assert (advised(case), withheld(case)) == ([2], [])
    assert held(case) == Tally()


@CLOCKS
def test_an_online_sale_is_refunded_by_the_hosts_time_and_not_by_the_terminals(error_s: int) -> None:
    day = [offline(1, BEFORE - 60, error_s), online(2, BEFORE), online(3, AFTER)]
    case = frozen(day, error_s, AfterCutoff.REFUND)
    items = case.shop.prepared.items
    refunds = [one.summary.record for one in items if one.kind is ItemKind.REFUND and one.summary is not None]
    assert refunds == [3]
    assert held(case) == Tally()


# --- where they do not: the terminal's clock decides what is sent, and the desk sets it right


GAP = [
    # clock's error, true time of the sale, whether the terminal sends it, what the desk then lists
    (0, BEFORE, True, 0),
    (0, AFTER, False, 0),
    (
        3 * HOUR,
        BEFORE,
        False,
        0,
    ),  # withheld though sold in time: nobody is charged, and the certificate says so
    (3 * HOUR, AFTER, False, 0),
    (-3 * HOUR, BEFORE, True, 0),
    (-3 * HOUR, AFTER, True, 1000),  # sent though sold too late: listed, for the acquirer to give back
    (8 * HOUR, BEFORE, False, 0),
    (-5 * HOUR, AFTER, True, 1000),
    (3 * YEAR, BEFORE, False, 0),
    (-3 * YEAR, AFTER, True, 1000),
]


@pytest.mark.parametrize(("error_s", "at", "is_sent", "listed"), GAP)
def test_between_neighbours_on_both_sides_the_clock_decides_and_the_desk_looks_at_its_offset(
    error_s: int, at: int, is_sent: bool, listed: int
) -> None:
    case = frozen([online(1, BEFORE - HOUR), offline(2, at, error_s)], error_s)
    assert (advised(case), withheld(case)) == (([2], []) if is_sent else ([], [2]))
    assert held(case).amount == listed
    assert case.seal_body.clock_offset_s == error_s


def test_the_desk_believes_its_own_time_before_any_clock() -> None:
    """The terminal's software ignored the neighbours: it sent what was sold behind a late online sale."""
    day = [online(1, BEFORE), offline(2, AFTER + 60, -3 * HOUR), online(3, AFTER + 120)]
    case = frozen(day, 0)
    assert advised(case) == [2]
    case.settle()
    store = MemoryStore()
    store.append([sold_at(row, 101, AFTER) for row in case.ledger.rows()])
    case.ledger = Ledger(store)
    assert case.receipt().contexts[0].held == Tally(3, 3000)


def sold_at(row: tuple[str, bytes], stan: int, at: int) -> tuple[str, bytes]:
    about = decode_row(*row)
    return encode_row(replace(about, at=at)) if isinstance(about, Posting) and about.stan == stan else row


# --- whole days


WHOLE_DAY_CLOCKS = pytest.mark.parametrize(
    "error_s",
    [
        8 * HOUR,
        *(pytest.param(s, marks=pytest.mark.long) for s in (0, 3 * HOUR, -3 * HOUR, -5 * HOUR, 3 * YEAR)),
        -3 * YEAR,
    ],
)


@WHOLE_DAY_CLOCKS
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_day_under_any_clock_settles_as_the_oracle_says(error_s: int, seed: int) -> None:
    day = populate(seed, 80, ALONE, START_S, error_s)
    case = frozen(day, error_s, AfterCutoff.REFUND)
    case.settle()
    rules = oracle.Rules(datetime.fromtimestamp(CUTOFF_AT, UTC).strftime("%y%m%d%H%M%S"), True, False)
    books = oracle.books_after(day, 0, rules)
    found = [
        oracle.Booked(one.stan, one.transaction_class.name, one.group.name, one.amount)
        for one in case.ledger.postings(ALONE[0].tid, ALONE[0].batch)
    ]
    assert oracle.differences(books, found, {one.stan for one in day}) == []
    assert sorted(one.amount for one in case.shop.prepared.withheld) == sorted(books.withheld)
    assert case.post().status == 200


@WHOLE_DAY_CLOCKS
def test_a_wrong_clock_changes_nothing_but_in_the_gap_around_the_cut_off(error_s: int) -> None:
    wrong = frozen(populate(4, 100, ALONE, START_S + 3 * HOUR, error_s), error_s)
    right = frozen(populate(4, 100, ALONE, START_S + 3 * HOUR), 0)
    times = {one.number: one.local_time for one in right.shop.day if one.rrn.strip()}
    cutoff = datetime.fromtimestamp(CUTOFF_AT, UTC).strftime("%y%m%d%H%M%S")
    gap = set(range(
        max(number for number, time in times.items() if time < cutoff),
        min(number for number, time in times.items() if time >= cutoff),
    ))  # fmt: skip
    assert set(withheld(wrong)) ^ set(withheld(right)) <= gap
    assert len(withheld(right)) > len(gap)


# --- the rule by itself


def test_neighbours_that_contradict_each_other_say_nothing() -> None:
    """An acquirer whose clock went back: late first, early afterwards."""
    assert place([(1, 20), (2, None), (3, 10)], 15) == {2: When.UNKNOWN}


def test_the_order_of_the_records_is_that_of_their_numbers() -> None:
    records = [(3, None), (1, 10), (2, 20), (4, None)]
    assert place(records, 15) == {3: When.AFTER, 4: When.AFTER}
    assert place([], 15) == {}


# --- what is withheld is told one by one


def retold(case: Case, change: Callable[[Summary], Summary | None]) -> None:
    """The seal over other items: each that is withheld as ``change`` has it, or not there at all."""
    items = [
        (item, change(item.summary) if item.kind is ItemKind.WITHHELD and item.summary else item.summary)
        for item in case.shop.prepared.items
    ]
    case.items = [
        encode_item(replace(item, summary=summary))
        for item, summary in items
        if summary is not None or item.kind is not ItemKind.WITHHELD
    ]
    case.reseal(lambda seal: replace(seal, contexts=(replace(seal.contexts[0], item_last=len(case.items)),)))


def test_a_withheld_sale_has_an_item_of_its_own_and_no_message() -> None:
    case = frozen([online(1, AFTER), offline(2, AFTER + 60)], 0)
    (item,) = [one for one in case.shop.prepared.items if one.kind is ItemKind.WITHHELD]
    assert item.summary is not None
    assert (item.summary.record, item.summary.amount, item.message) == (2, 1000, b"")
    case.settle()
    assert case.receipt().contexts[0].withheld == Tally(1, 1000)


def test_a_sale_that_is_withheld_and_not_told_gets_no_receipt() -> None:
    case = frozen([online(1, AFTER), offline(2, AFTER + 60)], 0)
    case.settle()
    retold(case, lambda summary: None)
    assert reason(case.post()) == "context 0 counts other transactions by class than it uploads and withholds"


@pytest.mark.parametrize("change", [{"amount": 999}, {"transaction_class": TransactionClass.SALE}], ids=str)
def test_a_withheld_sale_that_is_told_otherwise_gets_no_receipt(change: dict[str, Any]) -> None:
    case = frozen([online(1, AFTER), offline(2, AFTER + 60)], 0)
    case.settle()
    retold(case, lambda summary: replace(summary, **change))
    assert case.post().status == 422


def test_the_desk_does_not_let_a_sale_be_withheld_that_the_sales_around_it_put_before_the_cut_off() -> None:
    """The terminal's software is wrong: the merchant would lose what was sold in time."""
    case = frozen([offline(1, AFTER), online(2, AFTER + 60)], 0)
    case.settle()
    assert withheld(case) == [1]
    store = MemoryStore()
    store.append([sold_at(row, 102, BEFORE) for row in case.ledger.rows()])
    case.ledger = Ledger(store)
    assert reason(case.post()) == f"item {len(case.items)} is withheld, and was sold before the cut-off"

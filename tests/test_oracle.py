"""The oracle by hand: small days whose books anybody can add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_simulator.population import Transaction
from posdecom_world.oracle import (
    Booked,
    Proof,
    Rules,
    Totals,
    books_after,
    books_before,
    differences,
    proofs_after,
)

HELD = Rules("270115120000", refunds_after=False, voids_preauths=False)
REFUNDED = Rules("270115120000", refunds_after=True, voids_preauths=True)
BEFORE, AFTER = "270115110000", "270115120000"


def sold(
    number: int,
    kind: TransactionClass,
    amount: int,
    *,
    at: str = BEFORE,
    posted: bool = True,
    original: int | None = None,
    group: CardGroup = CardGroup.DOMESTIC,
    context: int = 0,
) -> Transaction:
    return Transaction(
        number,
        context,
        kind,
        "6200000000000005",
        "2912",
        group,
        amount,
        100 + number,
        "",
        "",
        at,
        posted,
        original,
    )


DAY = (
    sold(1, TransactionClass.SALE, 1000),
    sold(2, TransactionClass.OFFLINE_SALE, 200, posted=False),
    sold(3, TransactionClass.ADJUSTMENT, 20, posted=False, original=2),
    sold(4, TransactionClass.REVERSAL, 700),
    sold(5, TransactionClass.PREAUTH, 5000),
    sold(6, TransactionClass.SALE, 30, at=AFTER, group=CardGroup.FOREIGN),
    sold(7, TransactionClass.OFFLINE_SALE, 40, at=AFTER, posted=False),
    sold(8, TransactionClass.SALE, 50, at=AFTER),
    sold(9, TransactionClass.VOID, 50, at=AFTER, original=8),
    sold(10, TransactionClass.SALE, 9, context=1),
)
STANS = {one.stan for one in DAY}


def test_before_the_visit_the_books_hold_what_was_online_and_a_sale_that_awaits_its_reversal() -> None:
    assert {(one.stan, one.kind) for one in books_before(DAY, 0)} == {
        (101, "SALE"),
        (104, "SALE"),
        (105, "PREAUTH"),
        (106, "SALE"),
        (108, "SALE"),
        (109, "VOID"),
    }


def test_after_the_visit_offline_sales_are_in_the_reversal_is_out_and_late_offline_sales_are_withheld() -> (
    None
):
    books = books_after(DAY, 0, HELD)
    assert {one.stan for one in books.booked} == {101, 102, 103, 105, 106, 108, 109}
    assert books.refunds == Counter()
    assert books.totals() == (Totals(4, 1270, 1, 50), Totals(1, 30, 0, 0))


def test_late_online_sales_are_refunded_unless_they_were_voided_and_preauthorisations_voided() -> None:
    books = books_after(DAY, 0, REFUNDED)
    assert {one.stan for one in books.booked} == {101, 102, 103, 106, 108, 109}
    assert books.refunds == Counter({("FOREIGN", 30): 1})
    assert books.totals() == (Totals(4, 1270, 1, 50), Totals(1, 30, 1, 30))


def test_a_refused_offline_sale_takes_its_adjustment_along() -> None:
    books = books_after(DAY, 0, HELD, refused={102})
    assert {one.stan for one in books.booked} == {101, 105, 106, 108, 109}
    assert (books.refused, books.withheld) == ((200, 20), (40,))


def test_an_offline_sale_is_late_behind_a_late_online_one_and_in_time_in_front_of_an_early_one() -> None:
    """Whatever its own clock says; between the two it counts."""
    day = (
        sold(1, TransactionClass.OFFLINE_SALE, 1, at=AFTER, posted=False),
        answered(sold(2, TransactionClass.SALE, 2)),
        sold(3, TransactionClass.OFFLINE_SALE, 4, at=AFTER, posted=False),
        sold(4, TransactionClass.OFFLINE_SALE, 8, at=BEFORE, posted=False),
        answered(sold(5, TransactionClass.SALE, 16, at=AFTER)),
        sold(6, TransactionClass.OFFLINE_SALE, 32, at=BEFORE, posted=False),
    )
    books = books_after(day, 0, HELD)
    assert {one.stan for one in books.booked} == {101, 102, 104, 105}
    assert books.withheld == (4, 32)


def answered(one: Transaction) -> Transaction:
    return replace(one, rrn="701508123456")


CHIP = "9F2608{cryptogram}9F2701{kind}9F0206{amount:012d}"


def by_chip(one: Transaction, kind: str, cryptogram: str) -> Transaction:
    text = CHIP.format(kind=kind, cryptogram=cryptogram, amount=one.amount)
    return replace(one, chip_data=bytes.fromhex(text))


def test_the_acquirer_gets_the_cryptogram_of_every_sale_and_of_what_was_declined_and_books_none_of_these() -> (
    None
):
    day = (
        by_chip(sold(1, TransactionClass.SALE, 1000), "40", "01" * 8),
        by_chip(sold(2, TransactionClass.DECLINED, 500, posted=False), "00", "02" * 8),
        by_chip(sold(3, TransactionClass.OFFLINE_SALE, 20, posted=False), "40", "03" * 8),
        by_chip(sold(4, TransactionClass.OFFLINE_SALE, 30, at=AFTER, posted=False), "40", "04" * 8),
        by_chip(sold(5, TransactionClass.REVERSAL, 40), "80", "05" * 8),
        sold(6, TransactionClass.SALE, 50),
    )
    assert proofs_after(day, 0, HELD) == {
        Proof(101, False, "01" * 8),
        Proof(102, True, "02" * 8),
        Proof(103, False, "03" * 8),
    }
    assert proofs_after(day, 0, HELD, refused={103}) == {
        Proof(101, False, "01" * 8),
        Proof(102, True, "02" * 8),
    }
    assert 102 not in {one.stan for one in books_after(day, 0, HELD).booked}


RIGHT = [*books_after(DAY, 0, REFUNDED).booked, Booked(900, "REFUND", "FOREIGN", 30)]


@pytest.mark.parametrize(
    ("found", "problems"),
    [
        (RIGHT, 0),
        (RIGHT[1:], 1),
        ([*RIGHT, RIGHT[0]], 1),
        ([*RIGHT[1:], RIGHT[0]._replace(amount=1)], 2),
        ([*RIGHT, Booked(104, "SALE", "DOMESTIC", 700)], 1),
        ([*RIGHT, Booked(107, "OFFLINE_SALE", "DOMESTIC", 40)], 1),
        (RIGHT[:-1], 1),
        ([*RIGHT, Booked(901, "REFUND", "FOREIGN", 30)], 1),
        ([*RIGHT, Booked(901, "SALE", "FOREIGN", 30)], 1),
    ],
    ids=[
        "right", "one missing", "one twice", "another amount", "not reversed", "not withheld", "refund missing",
        "refund twice", "a sale of nobody",
    ],
)  # fmt: skip
def test_every_difference_is_named(found: list[Booked], problems: int) -> None:
    assert len(differences(books_after(DAY, 0, REFUNDED), found, STANS)) == problems

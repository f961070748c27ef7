"""Totals: which class counts on which side, and that counting is adding."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_protocol.money import SIDE, CardGroup, GroupTotals, Side, Tally, TransactionClass

T = TransactionClass
DEBIT = {T.SALE, T.OFFLINE_SALE, T.ADJUSTMENT, T.COMPLETION}
CREDIT = {T.VOID, T.REFUND, T.COMPLETION_VOID}


def test_wire_values_never_change() -> None:
    assert [(kind.name, kind.value) for kind in T] == [
        ("SALE", 1), ("VOID", 2), ("REFUND", 3), ("OFFLINE_SALE", 4), ("ADJUSTMENT", 5), ("PREAUTH", 6),
        ("COMPLETION", 7), ("COMPLETION_VOID", 8), ("REVERSAL", 9), ("DECLINED", 10),
    ]  # fmt: skip
    assert [(group.name, group.value) for group in CardGroup] == [("DOMESTIC", 0), ("FOREIGN", 1)]


@pytest.mark.parametrize("kind", T)
def test_each_class_counts_on_its_side_only(kind: T) -> None:
    totals = GroupTotals(CardGroup.FOREIGN).plus(kind, 250)
    one = Tally(1, 250)
    assert totals.group is CardGroup.FOREIGN
    assert totals.debit == (one if kind in DEBIT else Tally())
    assert totals.credit == (one if kind in CREDIT else Tally())
    assert SIDE[kind] is (Side.DEBIT if kind in DEBIT else Side.CREDIT if kind in CREDIT else Side.NEITHER)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(T), st.integers(0, 10**12 - 1)), max_size=30))
def test_totals_are_sums_of_what_went_in(sold: Sequence[tuple[T, int]]) -> None:
    totals = GroupTotals(CardGroup.DOMESTIC)
    for kind, amount in sold:
        totals = totals.plus(kind, amount)
    debit = [amount for kind, amount in sold if kind in DEBIT]
    credit = [amount for kind, amount in sold if kind in CREDIT]
    assert (totals.debit.count, totals.debit.amount) == (len(debit), sum(debit))
    assert (totals.credit.count, totals.credit.amount) == (len(credit), sum(credit))


def test_tallies_add_up() -> None:
    assert Tally(2, 300) + Tally(1, 50) == Tally(3, 350) == Tally(2, 300).plus(50)

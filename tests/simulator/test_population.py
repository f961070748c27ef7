"""The day's transactions: the same for a seed everywhere, consistent in themselves, like a shop's."""

from __future__ import annotations

import hashlib
from collections import Counter
from itertools import pairwise

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_protocol.money import SIDE, CardGroup, Side, TransactionClass
from posdecom_simulator.population import Transaction, luhn_digit, populate
from posdecom_simulator.terminal.device import Context

START_S = 1_800_000_000
CONTEXTS = (
    Context(0, "acquirer-a", "123456789012345", "TERM0001", 156, 24, "cup"),
    Context(1, "acquirer-a", "123456789012345", "TERM0002", 344, 7, "cup"),
    Context(2, "acquirer-b", "543210987654321", "TERM0003", 156, 900, "cup"),
)


def by_number(transactions: tuple[Transaction, ...]) -> dict[int, Transaction]:
    return {transaction.number: transaction for transaction in transactions}


def test_a_seed_gives_one_day_on_every_python() -> None:
    day = populate(7, 300, CONTEXTS, START_S)
    text = "\n".join(
        f"{t.number} {t.context} {t.transaction_class} {t.card_number} {t.expiry} {t.group} {t.amount} {t.stan}"
        f" {t.rrn} {t.auth_code} {t.local_time} {t.posted} {t.original} {t.chip_data.hex()}"
        for t in day
    )
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "87905e485f067e696741205c5b76e822fb5687be13313d21db573fe10dc1c83a"
    )
    assert day == populate(7, 300, CONTEXTS, START_S)
    assert day != populate(8, 300, CONTEXTS, START_S)


@pytest.mark.parametrize("seed", range(5))
def test_every_class_of_an_ordinary_day_occurs_and_sales_are_the_most(seed: int) -> None:
    classes = Counter(t.transaction_class for t in populate(seed, 1500, CONTEXTS, START_S))
    assert set(classes) == set(TransactionClass)
    assert classes.most_common(1)[0][0] is TransactionClass.SALE


@pytest.mark.parametrize("seed", range(5))
def test_an_original_is_earlier_of_the_same_context_and_card_and_named_once(seed: int) -> None:
    day = populate(seed, 900, CONTEXTS, START_S)
    wanted = {
        TransactionClass.VOID: TransactionClass.SALE,
        TransactionClass.ADJUSTMENT: TransactionClass.OFFLINE_SALE,
        TransactionClass.COMPLETION: TransactionClass.PREAUTH,
        TransactionClass.COMPLETION_VOID: TransactionClass.COMPLETION,
    }
    named = Counter(t.original for t in day if t.original is not None)
    assert set(named.values()) == {1}
    for transaction in day:
        assert (transaction.original is not None) == (transaction.transaction_class in wanted)
        if transaction.original is None:
            continue
        original = by_number(day)[transaction.original]
        assert original.number < transaction.number
        assert original.transaction_class is wanted[transaction.transaction_class]
        assert (original.context, original.card_number) == (transaction.context, transaction.card_number)
        if transaction.transaction_class in (TransactionClass.VOID, TransactionClass.COMPLETION_VOID):
            assert transaction.amount == original.amount


def test_cards_are_luhn_valid_and_their_prefix_says_the_group() -> None:
    for transaction in populate(3, 500, CONTEXTS, START_S):
        number = transaction.card_number
        assert luhn_digit(number[:-1]) == number[-1]
        assert number.startswith("62") == (transaction.group is CardGroup.DOMESTIC)
        assert 15 <= len(number) <= 19


def test_a_card_number_is_not_in_the_repr() -> None:
    transaction = populate(3, 1, CONTEXTS, START_S)[0]
    assert transaction.card_number not in repr(transaction)


def test_what_the_host_answered_is_posted_and_the_rest_is_mostly_not() -> None:
    day = populate(4, 1500, CONTEXTS, START_S)
    for transaction in day:
        if transaction.transaction_class in (TransactionClass.OFFLINE_SALE, TransactionClass.REVERSAL):
            assert transaction.rrn == " " * 12
        elif transaction.transaction_class in (TransactionClass.ADJUSTMENT, TransactionClass.DECLINED):
            assert not transaction.posted
        else:
            assert transaction.posted and transaction.rrn.isdigit() and len(transaction.rrn) == 12
    for chosen in (TransactionClass.OFFLINE_SALE, TransactionClass.REVERSAL):
        assert {t.posted for t in day if t.transaction_class is chosen} == {True, False}


def test_time_and_stan_only_go_forward() -> None:
    day = populate(5, 2000, CONTEXTS, START_S)
    assert all(a.local_time < b.local_time and a.stan + 1 == b.stan for a, b in pairwise(day))
    assert day[0].local_time[:6] == "270115" and day[-1].local_time[:6] <= "270116"


def test_full_contexts_overflow_no_counter() -> None:
    day = populate(6, 999 * 3, CONTEXTS, START_S)
    assert Counter(t.context for t in day) == {0: 999, 1: 999, 2: 999}
    sides = Counter((t.context, t.group, SIDE[t.transaction_class]) for t in day)
    assert max(count for (_, _, side), count in sides.items() if side is not Side.NEITHER) <= 999
    with pytest.raises(LocalError, match="2998 transactions"):
        populate(6, 999 * 3 + 1, CONTEXTS, START_S)


def test_a_shop_that_sold_nothing_has_no_transactions() -> None:
    assert populate(1, 0, CONTEXTS, START_S) == ()

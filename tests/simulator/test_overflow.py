"""Where numbers end: 999 transactions, twelve digits of amount, batch 999999, STAN 999999."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from posdecom_agent.dialects import DIALECTS
from posdecom_agent.settlement import Finished
from posdecom_protocol.aes_dukpt import TerminalDukpt
from posdecom_protocol.data_elements import BatchSums, BatchTotals
from posdecom_protocol.documents.order import AfterCutoff, Preauths
from posdecom_protocol.errors import LocalError
from posdecom_protocol.iso8583 import decode
from posdecom_protocol.limits import RECORDS_PER_CONTEXT_MAX
from posdecom_protocol.money import AMOUNT_MAX, CardGroup, Tally, TransactionClass
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.ledger import MemoryStore
from posdecom_simulator.acquirer.standing import next_batch
from posdecom_simulator.population import Transaction
from posdecom_simulator.terminal.batch_room import BatchRoom
from posdecom_simulator.terminal.device import Context
from posdecom_simulator.terminal.prepare import Prepared, Rules, StanCounter, prepare
from posdecom_simulator.terminal.stored import store_transaction
from shop import CONTEXTS, NO_CUTOFF, START_S, Shop, converse, open_acquirer, settle, terminal_keys

ALL_LATE = Rules("0" * 12, AfterCutoff.REFUND, Preauths.LIST)
ALL_DIALECTS = pytest.mark.parametrize("dialect", DIALECTS)


def sale(number: int, amount: int, stan: int | None = None) -> Transaction:
    at = datetime.fromtimestamp(START_S + number, UTC).strftime("%y%m%d%H%M%S")
    return Transaction(
        number, 0, TransactionClass.SALE, "6200000000000005", "3012", CardGroup.DOMESTIC, amount,
        number if stan is None else stan, "701508123456", "A1B2C3", at, True, None,
    )  # fmt: skip


def frozen(
    day: list[Transaction],
    contexts: tuple[Context, ...],
    rules: Rules,
    last_stan: int,
    keys: TerminalDukpt | None = None,
) -> Shop:
    keys = keys or terminal_keys()
    stored = tuple(store_transaction(one, keys, contexts[one.context].currency) for one in day)
    prepared: Prepared = prepare(contexts, stored, keys, StanCounter(last_stan), rules)
    return Shop(tuple(day), stored, prepared)


def one_context(dialect: str, batch: int = 24) -> tuple[Context, ...]:
    return (replace(CONTEXTS[0], dialect=dialect, batch=batch),)


# --- 999 transactions


def test_the_1000th_transaction_of_a_context_is_refused_at_the_time_of_sale() -> None:
    room = BatchRoom()
    for _ in range(RECORDS_PER_CONTEXT_MAX):
        room.take(0, 1)
    assert not room.has(0, 1)
    with pytest.raises(LocalError, match="context 0: the batch is full; settle it first"):
        room.take(0, 1)
    assert room.has(1, 1), "the next context has room of its own"


@ALL_DIALECTS
@pytest.mark.parametrize("sales", [20, pytest.param(RECORDS_PER_CONTEXT_MAX, marks=pytest.mark.long)])
def test_as_many_sales_as_fit_can_all_be_refunded_and_settle(dialect: str, sales: int) -> None:
    """999 debits and then 999 credits: both counters are full and neither goes over."""
    contexts = one_context(dialect)
    shop = frozen([sale(number, 100) for number in range(1, sales + 1)], contexts, ALL_LATE, sales)
    domestic = shop.prepared.contexts[0].totals[0]
    assert (domestic.debit, domestic.credit) == (Tally(sales, 100 * sales), Tally(sales, 100 * sales))
    host, ledger = open_acquirer(shop, contexts=contexts)
    events, _ = converse(settle(shop, 0, dialect=DIALECTS[dialect]), host)
    assert events[-1] == Finished()
    assert ledger.totals(contexts[0].tid, contexts[0].batch)[0] == domestic


# --- twelve digits


def test_a_sale_that_takes_the_batch_over_twelve_digits_is_refused_and_a_smaller_one_is_not() -> None:
    room = BatchRoom()
    room.take(0, AMOUNT_MAX - 10)
    assert not room.has(0, 11)
    with pytest.raises(LocalError, match="full"):
        room.take(0, 11)
    room.take(0, 10)
    assert not room.has(0, 1)


@ALL_DIALECTS
def test_the_largest_batch_that_is_taken_can_be_refunded_to_the_last_unit(dialect: str) -> None:
    """Both sums reach 999,999,999,999: nothing wraps and nothing is cut."""
    day = [sale(1, AMOUNT_MAX - 1), sale(2, 1)]
    shop = frozen(day, one_context(dialect), ALL_LATE, 2)
    (totals,) = (item for item in shop.prepared.items if item.kind is ItemKind.TOTALS)
    message = decode(totals.message)
    if dialect == "cup":
        domestic = BatchTotals.decode(message.text(48)).groups[0]
        assert (domestic.debit, domestic.credit) == (Tally(2, AMOUNT_MAX), Tally(2, AMOUNT_MAX))
    else:
        sums = BatchSums.decode(message.text(63))
        assert (sums.sale, sums.refund) == (Tally(2, AMOUNT_MAX), Tally(2, AMOUNT_MAX))


def test_amounts_that_no_terminal_should_have_taken_freeze_nothing_rather_than_wrap() -> None:
    with pytest.raises(LocalError, match="12 digits"):
        frozen([sale(1, AMOUNT_MAX), sale(2, 1)], one_context("cup"), NO_CUTOFF, 2)


# --- batch 999999


def test_the_batch_after_999999_is_1() -> None:
    assert (next_batch(999_999), next_batch(1)) == (1, 2)


@ALL_DIALECTS
def test_batch_999999_settles_and_batch_1_after_it_is_another(dialect: str) -> None:
    """The same STANs in both: the host takes none for a repeat, and the end of the one does not close the other."""
    keys, store = terminal_keys(), MemoryStore()
    for batch in (999_999, 1):
        contexts = one_context(dialect, batch)
        shop = frozen([sale(number, 100 * number) for number in range(1, 6)], contexts, ALL_LATE, 5, keys)
        host, ledger = open_acquirer(shop, store=store, contexts=contexts)
        events, _ = converse(settle(shop, 0, dialect=DIALECTS[dialect]), host)
        assert events[-1] == Finished()
        assert ledger.batch_end(contexts[0].tid, batch) is not None
        assert ledger.totals(contexts[0].tid, batch) == shop.prepared.contexts[0].totals
        assert not ledger.alarms


# --- STAN 999999


@ALL_DIALECTS
@pytest.mark.parametrize("last", range(999_993, 1_000_000))
def test_stans_go_round_while_messages_are_prepared_and_pass_those_of_the_batch(
    last: int, dialect: str
) -> None:
    """The day's own STANs lie just behind the end: a message that took one would be refused as its repeat."""
    contexts = one_context(dialect)
    day = [sale(number, 100 * number, stan=number) for number in range(1, 6)]
    shop = frozen(day, contexts, ALL_LATE, last)
    fresh = [int(decode(item.message).text(11)) for item in shop.prepared.items]
    assert len(set(fresh)) == len(fresh)
    assert not set(fresh) & {one.stan for one in day}
    assert any(stan > last for stan in fresh) == (last < 999_999)
    assert any(stan < 1000 for stan in fresh)
    host, ledger = open_acquirer(shop, contexts=contexts)
    events, _ = converse(settle(shop, 0, dialect=DIALECTS[dialect]), host)
    assert events[-1] == Finished()
    assert not ledger.alarms
    assert ledger.totals(contexts[0].tid, contexts[0].batch) == shop.prepared.contexts[0].totals

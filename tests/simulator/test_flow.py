"""Rows of the settlement flows that no other test shows by itself; tests/test_flow_tables.py lists them all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posdecom_agent.dialects import CUP, DIALECTS, EDC, Delivered, Refused
from posdecom_agent.settlement import Finished, Reason, Stopped
from posdecom_protocol.data_elements import BatchTotals, Reply
from posdecom_protocol.iso8583 import IsoMessage, decode, frame_message
from posdecom_protocol.money import CardGroup, GroupTotals, TransactionClass
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.books import Posting, Source
from posdecom_simulator.acquirer.host import Behaviour
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from posdecom_simulator.population import populate
from posdecom_simulator.terminal.prepare import StanCounter, prepare
from posdecom_simulator.terminal.stored import store_transaction
from release_case import open_case
from shop import (
    CONTEXTS,
    NO_CUTOFF,
    START_S,
    Shop,
    converse,
    freeze_day,
    open_acquirer,
    open_shop,
    settle,
    terminal_keys,
)

NOW = float(START_S + 86_400)
SHOP = open_shop(seed=2, count=60)
ALONE = CONTEXTS[:1]


def kinds_of(shop: Shop, sent: list[bytes]) -> list[ItemKind]:
    by_message = {item.message: item.kind for item in shop.prepared.items}
    return [by_message[message] for message in sent]


class MuteTo(Behaviour):
    """Says nothing to one type of message."""

    def __init__(self, mti: str) -> None:
        self._mti = mti

    def answers(self, request: IsoMessage) -> bool:
        return request.mti != self._mti


def test_a_reversal_without_an_answer_holds_up_everything_behind_it() -> None:
    host, _ = open_acquirer(SHOP, MuteTo("0400"))
    events, sent = converse(settle(SHOP, 0), host)
    assert set(kinds_of(SHOP, sent)) == {ItemKind.REVERSAL}
    assert len(sent) == 4, "one and its repeats"
    assert isinstance(events[-1], Stopped) and events[-1].reason is Reason.NO_ANSWER


class RefusesReversals(Behaviour):
    def refusal(self, request: IsoMessage) -> str | None:
        return "05" if request.mti == "0400" else None


def test_a_reversal_that_the_host_will_not_have_is_listed_and_its_sale_stays_in_the_books() -> None:
    """Two signers judge it; nothing waits for ever."""
    case = open_case(2, 60, behaviour=RefusesReversals())
    case.settle()
    items = case.shop.prepared.items
    reversals = [n for n, item in enumerate(items, 1) if item.kind is ItemKind.REVERSAL]
    listed = {one.sequence: one.code for context in case.receipt().contexts for one in context.refusals}
    assert listed == dict.fromkeys(reversals, "05") != {}
    assert len(case.receipts()) == 2


def test_the_totals_say_currency_and_operator_and_have_a_mac() -> None:
    totals = [decode(item.message) for item in SHOP.prepared.items if item.kind is ItemKind.TOTALS]
    assert [message.text(49) for message in totals] == ["156", "344"]
    assert {message.text(63) for message in totals} == {"01 "}
    assert all(message.binary(64) for message in totals)


def answered(replies: tuple[Reply, Reply]) -> list[ItemKind]:
    """What goes out after totals that a host answers like this; the rest of its answers are its own."""
    host, _ = open_acquirer(SHOP)
    settlement = settle(SHOP, 0)
    settlement.connected(NOW)
    sent: list[bytes] = []
    while True:
        settlement.events()
        data = settlement.bytes_to_send(NOW)
        if not data:
            return kinds_of(SHOP, sent)
        sent.append(data[2:])
        answer = host.answer(data[2:], NOW)
        assert answer is not None
        told = decode(answer)
        if told.mti == "0510":
            totals = replace(BatchTotals.decode(told.text(48)), replies=replies).encode()
            answer = replace(told, fields={**told.fields, 48: totals}).encode()
        settlement.receive(frame_message(answer), NOW)


@pytest.mark.parametrize(
    ("domestic", "foreign"),
    [
        pytest.param(one, other, marks=() if Reply.BALANCED in (one, other) else pytest.mark.long)
        for one in Reply
        for other in Reply
    ],
)
def test_only_two_groups_that_balance_are_balanced(domestic: Reply, foreign: Reply) -> None:
    """Replies 0 (reserved), 2 (not balanced) and 3 (error) of either group bring every detail and the end 202."""
    kinds = answered((domestic, foreign))
    if domestic is foreign is Reply.BALANCED:
        assert ItemKind.END_BALANCED in kinds and ItemKind.UPLOAD not in kinds
    else:
        assert ItemKind.END_UNBALANCED in kinds and ItemKind.UPLOAD in kinds


def test_the_end_207_goes_even_where_nothing_was_uploaded() -> None:
    day = [replace(one, chip_data=b"") for one in populate(2, 40, ALONE, START_S)]
    shop = freeze_day(
        [one for one in day if one.transaction_class is not TransactionClass.DECLINED], NO_CUTOFF, ALONE
    )
    host, ledger = open_acquirer(shop, contexts=ALONE)
    events, sent = converse(settle(shop, 0), host)
    assert events[-1] == Finished()
    ends = [decode(data) for data in sent if decode(data).mti == "0320"]
    assert [(end.text(60)[-3:], end.text(48)) for end in ends] == [("207", "0000")]
    assert ledger.batch_end(ALONE[0].tid, ALONE[0].batch) is not None


def test_details_that_the_host_has_already_count_in_the_totals_all_the_same() -> None:
    """Advices that went out before the visit are counted and not sent again."""
    sent_before = [
        one for one in SHOP.day if one.posted and one.transaction_class is TransactionClass.OFFLINE_SALE
    ]
    assert sent_before
    advised = {
        item.summary.record for item in SHOP.prepared.items if item.kind is ItemKind.ADVICE and item.summary
    }
    uploads = {
        item.summary.record for item in SHOP.prepared.items if item.kind is ItemKind.UPLOAD and item.summary
    }
    assert not advised & {one.number for one in sent_before}
    assert uploads >= {one.number for one in sent_before}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reversed_sale_is_in_no_total_and_in_no_upload(dialect: str) -> None:
    contexts = tuple(replace(one, dialect=dialect) for one in CONTEXTS)
    shop = open_shop(2, 60, NO_CUTOFF, contexts)
    reversed_stans = {one.stan for one in shop.day if one.transaction_class is TransactionClass.REVERSAL}
    assert reversed_stans
    uploads = {
        item.summary.stan for item in shop.prepared.items if item.kind is ItemKind.UPLOAD and item.summary
    }
    assert not uploads & reversed_stans


def test_a_reversal_of_what_was_reversed_already_is_taken_and_changes_nothing() -> None:
    """Prepared anew: the terminal was thawed before it heard that the first one had been taken, and frozen again."""
    keys, stans = terminal_keys(), StanCounter(SHOP.day[-1].stan)
    stored = tuple(store_transaction(one, keys, CONTEXTS[one.context].currency) for one in SHOP.day)
    host, ledger = open_acquirer(SHOP)
    books = []
    for _ in range(2):
        prepared = prepare(CONTEXTS, stored, keys, stans, NO_CUTOFF)
        reversal = next(item for item in prepared.items if item.kind is ItemKind.REVERSAL)
        answer = host.answer(reversal.message, NOW)
        assert answer is not None
        assert decode(answer).text(39) == "00"
        books.append(ledger.postings(ALONE[0].tid, ALONE[0].batch))
    assert books[0] == books[1]
    assert not ledger.alarms


def test_two_currencies_are_two_contexts_and_never_one_sum() -> None:
    host, ledger = open_acquirer(SHOP)
    for context in CONTEXTS:
        events, _ = converse(settle(SHOP, context.index), host)
        assert events[-1] == Finished()
        assert {one.currency for one in ledger.postings(context.tid, context.batch)} == {context.currency}
        assert ledger.totals(context.tid, context.batch) == SHOP.prepared.contexts[context.index].totals


def test_another_currency_in_the_books_of_a_batch_is_reply_3_and_no_sum() -> None:
    host, ledger = open_acquirer(SHOP)
    stray = Posting(
        ALONE[0].tid, ALONE[0].mid, ALONE[0].batch, 999_999, TransactionClass.SALE, CardGroup.DOMESTIC, 100, 840,
        bytes(32), Source.ONLINE, START_S,
    )  # fmt: skip
    ledger.seed_posted([stray])
    converse(settle(SHOP, 0), host)
    assert ledger.replies(ALONE[0].tid, ALONE[0].batch) == (Reply.ERROR, Reply.ERROR)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("00", Delivered(balanced=True)),
        ("94", Delivered(balanced=True)),
        ("95", Delivered(balanced=False)),
        ("12", Refused("12")),
    ],
)
def test_edc_totals_are_closed_by_00_and_94_and_opened_by_95(code: str, outcome: Delivered | Refused) -> None:
    judge = next(phase.judge for phase in EDC.phases if phase.decides)
    message = IsoMessage(bytes.fromhex("6000000003"), "603100310001", "0510", {39: code})
    assert judge(message) == outcome


def test_the_sign_off_is_the_last_message_of_a_cup_batch_and_edc_has_none() -> None:
    assert CUP.phases[-1].kind is ItemKind.SIGN_OFF
    assert ItemKind.SIGN_OFF not in {phase.kind for phase in EDC.phases}
    host, ledger = open_acquirer(SHOP)
    _, sent = converse(settle(SHOP, 0), host)
    assert decode(sent[-1]).mti == "0820"
    assert ledger.is_signed_off(ALONE[0].tid, ALONE[0].batch)


def test_every_class_is_on_the_side_that_the_field_48_of_terminals_has_it_on() -> None:
    debit = GroupTotals(CardGroup.DOMESTIC).plus(TransactionClass.SALE, 1)
    for kind in (TransactionClass.OFFLINE_SALE, TransactionClass.ADJUSTMENT, TransactionClass.COMPLETION):
        assert GroupTotals(CardGroup.DOMESTIC).plus(kind, 1) == debit
    credit = GroupTotals(CardGroup.DOMESTIC).plus(TransactionClass.REFUND, 1)
    for kind in (TransactionClass.VOID, TransactionClass.COMPLETION_VOID):
        assert GroupTotals(CardGroup.DOMESTIC).plus(kind, 1) == credit
    for kind in (TransactionClass.PREAUTH, TransactionClass.REVERSAL, TransactionClass.DECLINED):
        assert GroupTotals(CardGroup.DOMESTIC).plus(kind, 1) == GroupTotals(CardGroup.DOMESTIC)


def test_the_books_are_the_same_whoever_asks() -> None:
    """A ledger read back from its rows says what the one said that wrote them, chip data included."""
    store = MemoryStore()
    host, ledger = open_acquirer(SHOP, store=store)
    converse(settle(SHOP, 0), host)
    again = Ledger(store)
    place = ALONE[0].tid, ALONE[0].batch
    assert again.proofs(*place) == ledger.proofs(*place) != {}
    assert again.totals(*place) == ledger.totals(*place)

"""Many messages under way: how many, which of them wait, what a dead connection costs; nothing else changes."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from any_host import Acquirer, Courier, Laptop
from posdecom_agent.dialects import CUP, EDC, WINDOW, Delivered, Dialect, Outcome, Refused
from posdecom_agent.procedure import Step, carry_out
from posdecom_agent.settlement import (
    ANSWER_TIMEOUT_S,
    RESENDS_MAX,
    Answered,
    Entry,
    Finished,
    Reason,
    Settlement,
    Stopped,
)
from posdecom_protocol.iso8583 import decode, frame_message
from posdecom_protocol.money import CardGroup
from posdecom_protocol.records import Item, ItemKind
from posdecom_simulator.acquirer.behaviour import HostFault, Rule
from posdecom_simulator.acquirer.host import Host, ScriptedBehaviour
from posdecom_simulator.acquirer.ledger import Ledger
from release_case import LATER
from shop import CONTEXTS, Shop, converse, open_acquirer, open_shop, settle

SHOP = open_shop(seed=5, count=80)
ITEMS = {n: item for n, item in enumerate(SHOP.prepared.items, 1) if item.context == 0}
ALONE = {ItemKind.REVERSAL, ItemKind.PREAUTH_VOID, ItemKind.TOTALS, ItemKind.END_BALANCED, ItemKind.SIGN_OFF}
NOW = 1_900_000_000.0


def one_at_a_time(dialect: Dialect) -> Dialect:
    return replace(dialect, phases=tuple(replace(phase, window=1) for phase in dialect.phases))


def first_of(kind: ItemKind) -> int:
    return next(sequence for sequence, item in ITEMS.items() if item.kind is kind)


def begun_at(kind: ItemKind, items: dict[int, Item] | None = None) -> Settlement:
    """Everything before this kind is over; the totals, if they are, did not balance."""
    items = items or ITEMS
    outcomes: dict[int, Outcome] = {
        sequence: Delivered(balanced=False) if item.kind is ItemKind.TOTALS else Delivered()
        for sequence, item in items.items()
        if sequence < first_of(kind)
    }
    index = [Entry(sequence, item.kind) for sequence, item in items.items()]
    settlement = Settlement(CUP, index, lambda sequence: items[sequence].message, outcomes)
    settlement.connected(NOW)
    return settlement


def sent(settlement: Settlement, now: float = NOW) -> list[bytes]:
    """Everything that it has to say now."""
    messages = []
    while data := settlement.bytes_to_send(now):
        messages.append(data[2:])
    return messages


def sequences_of(messages: list[bytes]) -> list[int]:
    by_message = {item.message: sequence for sequence, item in ITEMS.items()}
    return [by_message[message] for message in messages]


def answer(request: bytes, code: str = "00") -> bytes:
    message = decode(request)
    fields = {n: message.fields[n] for n in (3, 4, 11, 41, 42, 49, 60) if n in message.fields}
    return frame_message(message.answer({**fields, 39: code}).encode())


# --- how many


@pytest.mark.parametrize("dialect", [CUP, EDC])
def test_what_stands_on_its_own_goes_eight_at_a_time_and_everything_else_alone(dialect: Dialect) -> None:
    windows = {phase.kind: phase.window for phase in dialect.phases}
    assert {kind for kind, window in windows.items() if window == 1} >= ALONE & set(windows)
    assert {windows[kind] for kind in (ItemKind.ADVICE, ItemKind.REFUND, ItemKind.UPLOAD)} == {WINDOW}


def test_eight_uploads_are_under_way_and_each_answer_makes_room_for_one() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    first = sent(settlement)
    assert sequences_of(first) == list(range(first_of(ItemKind.UPLOAD), first_of(ItemKind.UPLOAD) + WINDOW))
    settlement.receive(answer(first[5]), NOW)
    assert sent(settlement) == [], "the answer is not in the journal yet"
    (event,) = settlement.events()
    assert isinstance(event, Answered) and event.sequence == first_of(ItemKind.UPLOAD) + 5
    assert sequences_of(sent(settlement)) == [first_of(ItemKind.UPLOAD) + WINDOW]


def test_phases_do_not_overlap() -> None:
    settlement = begun_at(ItemKind.REVERSAL)
    (reversal,) = sent(settlement)
    settlement.receive(answer(reversal), NOW)
    settlement.events()
    following = sent(settlement)
    kinds = {ITEMS[sequence].kind for sequence in sequences_of(following)}
    assert len(kinds) == 1


def test_a_message_about_another_waits_for_that_ones_answer() -> None:
    """An adjustment that overtook its sale would be refused for good."""
    host, _ = open_acquirer(SHOP)
    settlement = settle(SHOP, 0)
    settlement.connected(NOW)
    waited = 0
    under_way: list[bytes] = []
    for _ in range(1000):
        settlement.events()
        under_way += sent(settlement)
        if not under_way:
            break
        stans = {decode(one).text(11) for one in under_way}
        about = [decode(one).text(61)[6:12] for one in under_way if 61 in decode(one).fields]
        assert not stans & set(about)
        waited += len(under_way) < WINDOW and decode(under_way[0]).mti == "0220"
        reply = host.answer(under_way.pop(), NOW)  # the newest first
        assert reply is not None
        settlement.receive(frame_message(reply), NOW)
    adjusted = {
        one.number for one in SHOP.day if one.transaction_class.name == "OFFLINE_SALE" and not one.posted
    }
    assert any(one.original in adjusted for one in SHOP.day), "or the shop shows nothing"
    assert waited


# --- any order


def books(ledger: Ledger) -> list[object]:
    batch = CONTEXTS[0].tid, CONTEXTS[0].batch
    rows = sorted((one.stan, one.transaction_class, one.amount, one.card) for one in ledger.postings(*batch))
    return [
        rows,
        ledger.totals(*batch),
        ledger.replies(*batch),
        sorted(u.stan for u in ledger.uploads(*batch)),
    ]


def converse_in_any_order(
    shop: Shop, host: Host, seed: int, died_after: int | None = None
) -> dict[int, Outcome]:
    """Messages arrive, and answers come back, in an order of their own; laptop and connection die and come back."""
    chance, journal = random.Random(seed), dict[int, Outcome]()
    settlement = settle(shop, 0)
    settlement.connected(NOW)
    going: list[bytes] = []
    coming: list[bytes] = []
    steps = 0
    while True:
        steps += 1
        events = settlement.events()
        journal.update({event.sequence: event.outcome for event in events if isinstance(event, Answered)})
        if any(isinstance(event, Finished) for event in events):
            return journal
        if steps == died_after:
            settlement, going, coming = settle(shop, 0, journal), [], []
            settlement.connected(NOW)
        going += sent(settlement)
        if going and (not coming or chance.random() < 0.5):
            reply = host.answer(going.pop(chance.randrange(len(going))), NOW)
            assert reply is not None
            coming.append(reply)
        elif coming:
            settlement.receive(frame_message(coming.pop(chance.randrange(len(coming)))), NOW)


@settings(max_examples=5, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from((frozenset[CardGroup](), frozenset({CardGroup.FOREIGN}))),
    st.integers(1, 150),
)
def test_order_of_answers_and_a_death_in_the_middle_change_nothing(
    seed: int, not_balanced: frozenset[CardGroup], died_after: int
) -> None:
    calm_host, calm = open_acquirer(SHOP, ScriptedBehaviour(not_balanced=not_balanced))
    expected: dict[int, Outcome] = {}
    events, _ = converse(settle(SHOP, 0, dialect=one_at_a_time(CUP)), calm_host, journal=expected)
    assert isinstance(events[-1], Finished)
    host, ledger = open_acquirer(SHOP, ScriptedBehaviour(not_balanced=not_balanced))
    journal = converse_in_any_order(SHOP, host, seed, died_after)
    assert (journal, books(ledger)) == (expected, books(calm))
    assert not ledger.alarms


# --- silence and dead connections


def test_after_a_lost_connection_the_oldest_goes_alone_until_the_host_answers() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    first = sent(settlement)
    settlement.disconnected(NOW)
    settlement.connected(NOW)
    assert sent(settlement) == first[:1]
    settlement.receive(answer(first[0], "94"), NOW)
    settlement.events()
    assert sent(settlement)[: WINDOW - 1] == first[1:], "all that was unanswered, and the next one"


def test_one_message_that_is_never_answered_stops_it_and_the_others_stay_answered() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    dumb, *others = sent(settlement)
    for one in others:
        settlement.receive(answer(one), NOW)
    answered = [event.sequence for event in settlement.events() if isinstance(event, Answered)]
    assert answered == sequences_of(others)
    now, sends, events = NOW, 0, settlement.events()
    while not events:
        for one in sent(settlement, now):
            sends += one == dumb
            if one != dumb:
                settlement.receive(answer(one), now)
        settlement.events()
        deadline = settlement.deadline()
        assert deadline is not None
        now = deadline
        settlement.tick(now)
        events = [event for event in settlement.events() if isinstance(event, Stopped)]
    assert events == [Stopped(Reason.NO_ANSWER, sequences_of([dumb])[0])]
    assert 0 < sends <= 2 * (RESENDS_MAX + 1)
    assert now - NOW <= 2 * (RESENDS_MAX + 1) * ANSWER_TIMEOUT_S


def test_a_silent_host_is_asked_four_times_and_not_by_eight_messages_each_time() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    said = len(sent(settlement))
    now = NOW
    while (deadline := settlement.deadline()) is not None:
        now = deadline
        settlement.tick(now)
        said += len(sent(settlement, now))
    assert settlement.events() == [Stopped(Reason.NO_ANSWER, first_of(ItemKind.UPLOAD))]
    assert said == WINDOW + RESENDS_MAX


def test_a_host_that_answers_one_after_each_silence_is_not_given_up() -> None:
    """What was repeated for the sake of others counts from the start with each answer."""
    settlement, now, answered = begun_at(ItemKind.UPLOAD), NOW, 0
    for _ in range(WINDOW - 1):
        sent(settlement, now)
        now += ANSWER_TIMEOUT_S
        settlement.tick(now)
        (oldest,) = sent(settlement, now)
        settlement.receive(answer(oldest), now)
        events = settlement.events()
        answered += len(events)
        assert all(isinstance(event, Answered) for event in events)
    assert answered == WINDOW - 1 > RESENDS_MAX + 1


def test_an_item_that_is_no_message_stops_it_once_all_before_it_are_answered() -> None:
    bad = first_of(ItemKind.UPLOAD) + 3
    items = dict(ITEMS)
    items[bad] = replace(items[bad], message=ITEMS[first_of(ItemKind.SIGN_OFF)].message)
    settlement = begun_at(ItemKind.UPLOAD, items)
    before = sent(settlement)
    assert len(before) == 3
    assert settlement.events() == []
    for one in before:
        settlement.receive(answer(one), NOW)
    assert settlement.events()[-1] == Stopped(Reason.BAD_ITEM, bad)


def test_a_refusal_in_the_window_is_kept_and_the_rest_goes_on() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    first = sent(settlement)
    settlement.receive(answer(first[2], "12"), NOW)
    (event,) = settlement.events()
    assert isinstance(event, Answered) and event.outcome == Refused("12")
    assert len(sent(settlement)) == 1


def test_eight_under_way_bring_four_times_the_speed_of_one_over_a_far_host() -> None:
    """In virtual time; benchmarks/settlement_window.py has the figures."""
    seconds = {}
    for window in (1, WINDOW):
        phases = (replace(one, window=min(window, one.window)) for one in CUP.phases)
        acquirer = Acquirer.open([Rule(HostFault.NOT_BALANCED)], size=80)
        job = Laptop(acquirer.case).start()
        with patch("posdecom_agent.host.DIALECTS", {"cup": replace(CUP, phases=tuple(phases))}):
            carry_out(job, Courier.to(acquirer), lambda step, words: None, Step.SETTLE)
        seconds[window] = acquirer.time_s - LATER
    assert seconds[1] > 4 * seconds[WINDOW]


def test_a_connection_that_is_open_on_this_side_only_is_given_up_after_the_first_repeat() -> None:
    """A router in between forgot it: nothing says so, and every repeat on it would be in vain."""
    silent_at_the_third = Rule(HostFault.SILENCE, at=frozenset({3}))
    acquirer = Acquirer.open([silent_at_the_third], size=20)
    job = Laptop(acquirer.case).start()
    carry_out(job, Courier.to(acquirer), lambda step, words: None, Step.SETTLE)
    assert 2 * ANSWER_TIMEOUT_S <= acquirer.time_s - LATER < 2 * ANSWER_TIMEOUT_S + 30


def silence(settlement: Settlement, number: int) -> bool:
    """The deadlines of all that is under way pass for the ``number``-th time; whether it gives the connection up."""
    now = NOW + number * (ANSWER_TIMEOUT_S + 1)
    settlement.tick(now)
    sent(settlement, now)
    return settlement.wants_new_connection


def test_a_connection_is_given_up_after_two_silences_in_a_row_and_a_new_one_starts_afresh() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    sent(settlement)
    assert [silence(settlement, 1), silence(settlement, 2)] == [False, True]
    settlement.disconnected(NOW)
    settlement.connected(NOW)
    assert not settlement.wants_new_connection


def test_an_answer_to_anything_is_proof_that_the_connection_lives() -> None:
    settlement = begun_at(ItemKind.UPLOAD)
    _, other, *_ = sent(settlement)
    assert not silence(settlement, 1)
    settlement.receive(answer(other), NOW)
    settlement.events()
    sent(settlement, NOW + 1)
    assert not silence(settlement, 2)

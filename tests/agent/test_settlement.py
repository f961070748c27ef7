"""The conversation with the host, against a real host in one thread, and against answers nobody should give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_agent.dialects import (
    CUP,
    EDC,
    Delivered,
    Outcome,
    Refused,
    decode_outcome,
    encode_outcome,
)
from posdecom_agent.settlement import (
    ANSWER_TIMEOUT_S,
    RESENDS_MAX,
    Answered,
    Entry,
    Event,
    Finished,
    PhaseDone,
    Reason,
    Settlement,
    Stopped,
)
from posdecom_protocol.errors import LocalError
from posdecom_protocol.iso8583 import IsoMessage, decode, frame_message
from posdecom_protocol.money import CardGroup
from posdecom_protocol.records import ItemKind
from posdecom_simulator.acquirer.host import Host, ScriptedBehaviour
from posdecom_simulator.acquirer.ledger import Ledger, MemoryStore
from shop import CONTEXTS, Shop, converse, open_acquirer, open_shop, settle

SHOP = open_shop(seed=5, count=80)
NOW = 1_900_000_000.0


def sequences(shop: Shop, context: int, kind: ItemKind) -> list[int]:
    found = enumerate(shop.prepared.items, 1)
    return [sequence for sequence, item in found if item.context == context and item.kind is kind]


def stan(shop: Shop, sequence: int) -> int:
    return int(decode(shop.prepared.items[sequence - 1].message).text(11))


def kinds_sent(shop: Shop, sent: list[bytes]) -> set[ItemKind]:
    kind_of = {item.message: item.kind for item in shop.prepared.items}
    return {kind_of[message] for message in sent}


def books(ledger: Ledger) -> list[object]:
    """All that the acquirer's books say about the shop's batches."""
    return [
        (
            sorted(
                (p.stan, p.transaction_class, p.amount, p.group, p.card)
                for p in ledger.postings(c.tid, c.batch)
            ),
            ledger.totals(c.tid, c.batch),
            sorted((u.stan, u.amount, u.finding) for u in ledger.uploads(c.tid, c.batch)),
            ledger.replies(c.tid, c.batch),
            getattr(ledger.batch_end(c.tid, c.batch), "balanced", None),
            ledger.is_signed_off(c.tid, c.batch),
        )
        for c in CONTEXTS
    ]


# --- with a host


@pytest.mark.parametrize("context", [0, 1])
def test_a_day_that_balances_is_settled_without_uploads(context: int) -> None:
    host, ledger = open_acquirer(SHOP)
    journal: dict[int, Outcome] = {}
    events, sent = converse(settle(SHOP, context), host, journal=journal)
    assert isinstance(events[-1], Finished)
    assert set(journal.values()) == {Delivered(), Delivered(balanced=True)}
    assert not kinds_sent(SHOP, sent) & {ItemKind.UPLOAD, ItemKind.END_UNBALANCED}
    here = CONTEXTS[context]
    assert ledger.totals(here.tid, here.batch) == SHOP.prepared.contexts[context].totals
    assert ledger.is_signed_off(here.tid, here.batch)
    assert not ledger.alarms


def test_what_goes_out_are_the_terminals_own_bytes_in_the_order_of_the_seal() -> None:
    host, _ = open_acquirer(SHOP)
    _, sent = converse(settle(SHOP, 0), host)
    other_branch = (ItemKind.UPLOAD, ItemKind.CHIP_PROOF_UNBALANCED, ItemKind.END_UNBALANCED)
    wanted = [
        item.message for item in SHOP.prepared.items if item.context == 0 and item.kind not in other_branch
    ]
    assert sent == wanted


def test_an_answer_lost_after_the_host_committed_comes_back_as_94_and_counts_once() -> None:
    advices = sequences(SHOP, 0, ItemKind.ADVICE)
    totals = sequences(SHOP, 0, ItemKind.TOTALS)
    lost = {stan(SHOP, sequence) for sequence in advices + totals}
    host, ledger = open_acquirer(SHOP, ScriptedBehaviour(lose_once=lost))
    calm_host, calm = open_acquirer(SHOP)
    journal: dict[int, Outcome] = {}
    events, sent = converse(settle(SHOP, 0), host, journal=journal)
    converse(settle(SHOP, 0), calm_host)
    assert isinstance(events[-1], Finished)
    assert all(journal[sequence] == Delivered() for sequence in advices)
    assert journal[totals[0]] == Delivered(balanced=True)
    assert all(sent.count(SHOP.prepared.items[sequence - 1].message) == 2 for sequence in advices + totals)
    assert books(ledger) == books(calm)


def test_a_refused_advice_is_kept_with_its_code_and_never_sent_again() -> None:
    advice = sequences(SHOP, 0, ItemKind.ADVICE)[-1]
    host, _ = open_acquirer(SHOP, ScriptedBehaviour(refuse={stan(SHOP, advice): "05"}))
    journal: dict[int, Outcome] = {}
    events, sent = converse(settle(SHOP, 0), host, journal=journal)
    assert journal[advice] == Refused("05")
    assert sent.count(SHOP.prepared.items[advice - 1].message) == 1
    done = next(event for event in events if isinstance(event, PhaseDone) and event.kind is ItemKind.ADVICE)
    assert done == PhaseDone(ItemKind.ADVICE, len(sequences(SHOP, 0, ItemKind.ADVICE)) - 1, 1)
    assert isinstance(events[-1], Finished), "the rest of the batch is settled all the same"
    assert ItemKind.UPLOAD in kinds_sent(SHOP, sent), "the host misses one, so the totals differ"
    again, resent = converse(settle(SHOP, 0, journal), host)
    assert (again, resent) == ([Finished()], [])


def test_a_refusal_whose_answer_was_lost_comes_back_as_that_refusal() -> None:
    advice = sequences(SHOP, 0, ItemKind.ADVICE)[0]
    number = stan(SHOP, advice)
    host, _ = open_acquirer(SHOP, ScriptedBehaviour(refuse={number: "05"}, lose_once={number}))
    journal: dict[int, Outcome] = {}
    converse(settle(SHOP, 0), host, journal=journal)
    assert journal[advice] == Refused("05")


@pytest.mark.parametrize("group", list(CardGroup))
def test_one_group_that_does_not_balance_brings_the_uploads_and_the_other_end(group: CardGroup) -> None:
    host, ledger = open_acquirer(SHOP, ScriptedBehaviour(not_balanced=frozenset({group})))
    journal: dict[int, Outcome] = {}
    events, sent = converse(settle(SHOP, 0), host, journal=journal)
    assert isinstance(events[-1], Finished)
    assert journal[sequences(SHOP, 0, ItemKind.TOTALS)[0]] == Delivered(balanced=False)
    uploads = sequences(SHOP, 0, ItemKind.UPLOAD)
    assert set(uploads) <= set(journal)
    assert ItemKind.END_UNBALANCED in kinds_sent(SHOP, sent)
    assert ItemKind.END_BALANCED not in kinds_sent(SHOP, sent)
    assert len(ledger.uploads(CONTEXTS[0].tid, CONTEXTS[0].batch)) == len(uploads)


SMALL = open_shop(seed=5, count=24)
TROUBLES: dict[str, Callable[[], ScriptedBehaviour]] = {
    "balanced": lambda: ScriptedBehaviour(),
    "not balanced": lambda: ScriptedBehaviour(not_balanced=frozenset({CardGroup.FOREIGN})),
    "one refused": lambda: ScriptedBehaviour(
        refuse={stan(SMALL, sequences(SMALL, 0, ItemKind.ADVICE)[0]): "05"}
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_dying_after_any_message_and_going_on_gives_the_same_books(trouble: str) -> None:
    """The worst place each time: the host has the message, the agent has not journalled its answer."""
    calm_host, calm = open_acquirer(SMALL, TROUBLES[trouble]())
    expected: dict[int, Outcome] = {}
    _, sent = converse(settle(SMALL, 0), calm_host, journal=expected)
    for died_after in range(1, len(sent) + 1):
        host, ledger = open_acquirer(SMALL, TROUBLES[trouble]())
        journal: dict[int, Outcome] = {}
        converse(settle(SMALL, 0), host, journal=journal, messages_max=died_after)
        assert len(journal) == died_after - 1
        events, rest = converse(settle(SMALL, 0, journal), host, journal=journal)
        assert isinstance(events[-1], Finished)
        assert (journal, books(ledger)) == (expected, books(calm))
        assert len(rest) == len(sent) - died_after + 1, "one message twice, no more"


def test_going_on_from_any_journal_that_fell_behind_gives_the_same_books() -> None:
    """A copy of the journal from an earlier moment: everything since then is said again, and is 94."""
    host, ledger = open_acquirer(SMALL)
    expected: dict[int, Outcome] = {}
    converse(settle(SMALL, 0), host, journal=expected)
    before = books(ledger)
    for length in range(len(expected)):
        journal = dict(list(expected.items())[:length])
        events, _ = converse(settle(SMALL, 0, journal), host, journal=journal)
        assert isinstance(events[-1], Finished)
        assert (journal, books(ledger)) == (expected, before)


def test_a_host_that_was_restarted_from_its_store_goes_on_the_same() -> None:
    store = MemoryStore()
    host, _ = open_acquirer(SMALL, store=store)
    journal: dict[int, Outcome] = {}
    converse(settle(SMALL, 0), host, journal=journal, messages_max=5)
    host, ledger = open_acquirer(SMALL, store=store)
    converse(settle(SMALL, 0, journal), host, journal=journal)
    calm_host, calm = open_acquirer(SMALL)
    converse(settle(SMALL, 0), calm_host)
    assert books(ledger) == books(calm)


@cache
def settled_calmly(trouble: str) -> tuple[dict[int, Outcome], list[object]]:
    """Journal and books when nothing happens to the line."""
    host, ledger = open_acquirer(SMALL, TROUBLES[trouble]())
    journal: dict[int, Outcome] = {}
    converse(settle(SMALL, 0), host, journal=journal)
    return journal, books(ledger)


class Fault(Enum):
    """What may happen to one message on its way."""

    NONE = 0
    REQUEST_LOST = 1
    ANSWER_LOST = 2
    ANSWER_TWICE = 3
    EVERY_OLD_ANSWER_AGAIN = 4
    CUT_IN_THE_ANSWER = 5
    AGENT_KILLED = 6


def carry(settlement: Settlement, host: Host, fault: Fault, request: bytes, old: list[bytes]) -> None:
    """One message to the host and what comes back of it."""
    answered = None if fault is Fault.REQUEST_LOST else host.answer(request, NOW)
    if answered is not None and fault not in (Fault.ANSWER_LOST, Fault.AGENT_KILLED):
        old.append(answered)
        wire = frame_message(answered)
        before = b"".join(map(frame_message, old[:-1])) if fault is Fault.EVERY_OLD_ANSWER_AGAIN else b""
        settlement.receive(before, NOW)
        if fault is Fault.CUT_IN_THE_ANSWER:
            settlement.receive(wire[: len(wire) // 2], NOW)
            settlement.disconnected(NOW)
            settlement.connected(NOW)
            return
        settlement.receive(wire * 2 if fault is Fault.ANSWER_TWICE else wire, NOW)
    deadline = settlement.deadline()
    if deadline is not None:
        settlement.tick(deadline)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(TROUBLES)), st.lists(st.sampled_from(Fault), max_size=60))
def test_whatever_the_line_does_the_books_come_out_the_same(trouble: str, faults: list[Fault]) -> None:
    expected = settled_calmly(trouble)
    host, ledger = open_acquirer(SMALL, TROUBLES[trouble]())
    journal: dict[int, Outcome] = {}
    old: list[bytes] = []
    settlement = settle(SMALL, 0)
    settlement.connected(NOW)
    for fault in faults + [Fault.NONE] * 200:
        events = settlement.events()
        journal.update({event.sequence: event.outcome for event in events if isinstance(event, Answered)})
        if any(isinstance(event, Finished) for event in events):
            break
        assert all(event.reason is Reason.NO_ANSWER for event in events if isinstance(event, Stopped))
        request = settlement.bytes_to_send(NOW)[2:]
        if request:
            carry(settlement, host, fault, request, old)
        if fault is Fault.AGENT_KILLED or any(isinstance(event, Stopped) for event in events):
            settlement = settle(SMALL, 0, journal)
            settlement.connected(NOW)
    assert (journal, books(ledger)) == expected
    assert not ledger.alarms


# --- with answers by hand


def started(resends_max: int = RESENDS_MAX) -> tuple[Settlement, bytes]:
    """A conversation whose first message, a reversal, is on its way."""
    items = {n: item for n, item in enumerate(SHOP.prepared.items, 1) if item.context == 0}
    index = [Entry(n, item.kind) for n, item in items.items()]
    settlement = Settlement(CUP, index, lambda n: items[n].message, {}, resends_max=resends_max)
    settlement.connected(NOW)
    return settlement, settlement.bytes_to_send(NOW)[2:]


def answer(request: bytes, code: str = "00", **changes: str) -> bytes:
    """The host's answer by hand; ``changes`` by field, as in ``f4="..."``."""
    message = decode(request)
    fields = {n: message.fields[n] for n in (3, 4, 11, 41, 42, 49, 60) if n in message.fields}
    fields |= {int(name[1:]): value for name, value in changes.items()}
    return message.answer({**fields, 39: code}).encode()


def fed(settlement: Settlement, *answers: bytes) -> list[Event]:
    for one in answers:
        settlement.receive(frame_message(one), NOW)
    return settlement.events()


def test_nothing_goes_out_while_an_outcome_waits_to_be_journalled() -> None:
    settlement, request = started()
    settlement.receive(frame_message(answer(request)), NOW)
    assert settlement.bytes_to_send(NOW) == b""
    (event, *_) = settlement.events()
    assert isinstance(event, Answered)
    assert settlement.bytes_to_send(NOW)[2:] not in (b"", request)


def test_an_answer_may_come_in_any_pieces() -> None:
    settlement, request = started()
    for byte in frame_message(answer(request)):
        assert settlement.events() == []
        settlement.receive(bytes([byte]), NOW)
    (event, *_) = settlement.events()
    assert isinstance(event, Answered) and event.outcome == Delivered()


def test_silence_brings_the_same_bytes_again_and_then_a_named_stop() -> None:
    settlement, request = started()
    for attempt in range(1, RESENDS_MAX + 1):
        deadline = settlement.deadline()
        assert deadline == NOW + attempt * ANSWER_TIMEOUT_S
        settlement.tick(deadline - 0.1)
        assert settlement.bytes_to_send(deadline) == b""
        settlement.tick(deadline)
        assert settlement.bytes_to_send(deadline) == frame_message(request)
    settlement.tick(NOW + (RESENDS_MAX + 1) * ANSWER_TIMEOUT_S)
    assert settlement.events() == [Stopped(Reason.NO_ANSWER, 1)]
    assert Reason.NO_ANSWER.resumable
    assert (settlement.deadline(), settlement.bytes_to_send(NOW)) == (None, b"")


def test_a_repeat_that_nothing_answers_either_goes_over_another_connection() -> None:
    settlement, request = started()
    for wanted in (False, True):
        deadline = settlement.deadline()
        assert deadline is not None
        settlement.tick(deadline)
        assert settlement.wants_new_connection is wanted
        if not wanted:
            assert settlement.bytes_to_send(deadline) == frame_message(request)
    settlement.disconnected(NOW)
    settlement.connected(NOW)
    assert not settlement.wants_new_connection
    assert settlement.bytes_to_send(NOW) == frame_message(request)


def test_a_lost_connection_brings_the_same_bytes_on_the_next_one() -> None:
    settlement, request = started()
    settlement.receive(frame_message(answer(request))[:7], NOW)
    settlement.disconnected(NOW)
    assert (settlement.deadline(), settlement.bytes_to_send(NOW)) == (None, b"")
    settlement.connected(NOW)
    assert settlement.bytes_to_send(NOW) == frame_message(request)
    (event, *_) = fed(settlement, answer(request, "94"))
    assert isinstance(event, Answered) and event.outcome == Delivered()


def test_connections_that_keep_breaking_end_in_a_named_stop() -> None:
    settlement, _ = started(resends_max=1)
    settlement.disconnected(NOW)
    settlement.connected(NOW)
    assert settlement.bytes_to_send(NOW)
    settlement.disconnected(NOW)
    assert settlement.events() == [Stopped(Reason.NO_ANSWER, 1)]


@pytest.mark.parametrize(
    "changes", [{"f11": "000001"}, {"f41": "TERM9999"}, {"f42": "000000000000000"}, {"f60": "22000025000"}]
)
def test_an_answer_to_somebody_else_is_ignored_and_counted(changes: dict[str, str]) -> None:
    settlement, request = started()
    assert fed(settlement, answer(request, **changes)) == []
    assert settlement.ignored == 1


def test_an_answer_of_another_type_or_no_message_at_all_is_ignored_and_counted() -> None:
    settlement, request = started()
    other = replace(decode(answer(request)), mti="0230").encode()
    without_code = decode(request).answer({11: decode(request).text(11), 41: "TERM0001", 42: CONTEXTS[0].mid})
    assert fed(settlement, other, b"garbage" * 4, request, without_code.encode()) == []
    assert settlement.ignored == 4


def test_a_duplicate_answer_is_ignored_even_when_it_says_94() -> None:
    settlement, request = started()
    fed(settlement, answer(request))
    assert fed(settlement, answer(request), answer(request, "94")) == []
    assert settlement.ignored == 2


def test_an_answer_that_takes_back_an_earlier_one_stops_the_conversation() -> None:
    settlement, request = started()
    fed(settlement, answer(request))
    (event,) = fed(settlement, answer(request, "05"))
    assert isinstance(event, Stopped) and event.reason is Reason.CONTRADICTION
    assert not event.reason.resumable
    settlement.connected(NOW)
    assert (settlement.deadline(), settlement.bytes_to_send(NOW)) == (None, b"")


def test_totals_that_balance_at_first_and_then_do_not_stop_the_conversation() -> None:
    (totals,) = sequences(SHOP, 0, ItemKind.TOTALS)
    settlement = settle(SHOP, 0, {sequence: Delivered() for sequence in range(1, totals)})
    settlement.connected(NOW)
    request = settlement.bytes_to_send(NOW)[2:]
    sums = decode(request).text(48)
    balanced, not_balanced = sums[:30] + "1" + sums[31:61] + "1", sums[:30] + "2" + sums[31:61] + "1"
    (event, *_) = fed(settlement, answer(request, f48=balanced))
    assert isinstance(event, Answered) and event.outcome == Delivered(balanced=True)
    assert fed(settlement, answer(request, "94"), answer(request, "94", f48=balanced)) == []
    (event,) = fed(settlement, answer(request, "94", f48=not_balanced))
    assert isinstance(event, Stopped) and event.reason is Reason.CONTRADICTION


def test_a_second_refusal_with_another_code_is_still_a_refusal() -> None:
    settlement, request = started()
    (event, *_) = fed(settlement, answer(request, "05"))
    assert isinstance(event, Answered) and event.outcome == Refused("05")
    assert fed(settlement, answer(request, "96")) == []


@pytest.mark.parametrize("changes", [{"f4": "000000000001"}, {"f49": "840"}])
def test_an_answer_about_other_money_stops_the_conversation(changes: dict[str, str]) -> None:
    settlement, request = started()
    assert fed(settlement, answer(request, **changes)) == [Stopped(Reason.CONTRADICTION, 1)]


def test_a_length_prefix_out_of_bounds_stops_the_conversation() -> None:
    settlement, _ = started()
    settlement.receive(b"HTTP/1.1 400 Bad Request\r\n", NOW)
    assert settlement.events() == [Stopped(Reason.STREAM_BROKEN, 1)]
    settlement.receive(b"more of it", NOW)
    assert settlement.events() == []


@pytest.mark.parametrize("data", [b"", SHOP.prepared.items[-1].message])
def test_a_stored_message_that_does_not_fit_its_place_is_not_sent(data: bytes) -> None:
    settlement = Settlement(CUP, [Entry(1, ItemKind.REVERSAL)], lambda sequence: data, {})
    settlement.connected(NOW)
    assert settlement.events() == [Stopped(Reason.BAD_ITEM, 1)]
    assert settlement.bytes_to_send(NOW) == b""


def test_messages_that_one_answer_would_fit_go_one_after_the_other() -> None:
    """Or the answer to the first would count for the second, which the host never had."""
    advice = SHOP.prepared.items[sequences(SHOP, 0, ItemKind.ADVICE)[0] - 1].message
    settlement = Settlement(CUP, [Entry(n, ItemKind.ADVICE) for n in (1, 2)], lambda sequence: advice, {})
    settlement.connected(NOW)
    for sequence in (1, 2):
        assert settlement.bytes_to_send(NOW) == frame_message(advice)
        assert settlement.bytes_to_send(NOW) == b""
        (event, *_) = fed(settlement, answer(advice))
        assert isinstance(event, Answered) and event.sequence == sequence


def test_refused_totals_stop_the_conversation_now_and_when_it_is_resumed() -> None:
    totals = sequences(SHOP, 0, ItemKind.TOTALS)[0]
    host, _ = open_acquirer(SHOP, ScriptedBehaviour(refuse={stan(SHOP, totals): "77"}))
    journal: dict[int, Outcome] = {}
    events, _ = converse(settle(SHOP, 0), host, journal=journal)
    assert events[-1] == Stopped(Reason.TOTALS_REFUSED, totals)
    again, sent = converse(settle(SHOP, 0, journal), host)
    assert (again, sent) == ([Stopped(Reason.TOTALS_REFUSED, totals)], [])


def test_what_the_desk_wants_is_sent_whichever_way_the_answers_led() -> None:
    """The answer that led there may have been forged; the host refuses what it has no use for."""
    host, _ = open_acquirer(SHOP)
    journal: dict[int, Outcome] = {}
    converse(settle(SHOP, 0), host, journal=journal)
    (other_end,) = sequences(SHOP, 0, ItemKind.END_UNBALANCED)
    uploads = sequences(SHOP, 0, ItemKind.UPLOAD)
    assert not {other_end, *uploads} & set(journal), "or this shows nothing"
    wanted = (other_end, uploads[2])
    events, sent = converse(settle(SHOP, 0, journal, wanted=wanted), host, journal=journal)
    assert [SHOP.prepared.items[n - 1].message for n in (uploads[2], other_end)] == sent
    assert events[-1] == Finished()
    assert set(wanted) <= set(journal)
    assert converse(settle(SHOP, 0, journal, wanted=wanted), host) == ([Finished()], [])


def test_after_refused_totals_nothing_is_sent_but_what_the_desk_wants() -> None:
    (totals,), (end,) = (sequences(SHOP, 0, kind) for kind in (ItemKind.TOTALS, ItemKind.SIGN_OFF))
    host, _ = open_acquirer(SHOP, ScriptedBehaviour(refuse={stan(SHOP, totals): "05"}))
    journal: dict[int, Outcome] = {}
    converse(settle(SHOP, 0), host, journal=journal)
    assert max(journal) == totals
    events, sent = converse(settle(SHOP, 0, journal, wanted=(end,)), host)
    assert sent == [SHOP.prepared.items[end - 1].message]
    assert events[-1] == Stopped(Reason.TOTALS_REFUSED, totals)


def test_totals_answered_without_reply_codes_are_not_taken_for_balanced() -> None:
    (totals,) = sequences(SHOP, 0, ItemKind.TOTALS)
    before: dict[int, Outcome] = {sequence: Delivered() for sequence in range(1, totals)}
    settlement = settle(SHOP, 0, before)
    settlement.connected(NOW)
    request = settlement.bytes_to_send(NOW)[2:]
    fed(settlement, answer(request, "94"))
    following = settlement.bytes_to_send(NOW)[2:]
    assert following == SHOP.prepared.items[sequences(SHOP, 0, ItemKind.UPLOAD)[0] - 1].message


def test_a_message_is_looked_up_only_when_its_turn_comes() -> None:
    looked_up: list[int] = []

    def message(sequence: int) -> bytes:
        looked_up.append(sequence)
        return SHOP.prepared.items[sequence - 1].message

    index = [Entry(sequence, SHOP.prepared.items[sequence - 1].kind) for sequence in (1, 2)]
    settlement = Settlement(CUP, index, message, {})
    assert looked_up == [1]
    settlement.connected(NOW)
    fed(settlement, answer(settlement.bytes_to_send(NOW)[2:]))
    assert looked_up == [1, 2]


def test_a_context_without_items_is_finished_at_once() -> None:
    assert Settlement(CUP, [], lambda sequence: b"", {}).events() == [Finished()]


@pytest.mark.parametrize(
    ("code", "kinds"),
    [("00", [ItemKind.TOTALS]), ("95", [ItemKind.TOTALS, ItemKind.UPLOAD, ItemKind.CLOSE])],
)
def test_another_dialect_is_another_table_and_no_other_engine(code: str, kinds: list[ItemKind]) -> None:
    def message(sequence: int) -> bytes:
        mti = {1: "0500", 2: "0320", 3: "0500"}[sequence]
        fields = {11: f"{sequence:06d}", 41: "TERM0001", 42: "123456789012345"}
        return IsoMessage(bytes.fromhex("6000030000"), "600000000000", mti, fields).encode()

    index = [Entry(1, ItemKind.TOTALS), Entry(2, ItemKind.UPLOAD), Entry(3, ItemKind.CLOSE)]
    settlement = Settlement(EDC, index, message, {})
    settlement.connected(NOW)
    done: list[ItemKind] = []
    while request := settlement.bytes_to_send(NOW)[2:]:
        first = decode(request).text(11) == "000001"
        events = fed(settlement, answer(request, code if first else "00"))
        done += [event.kind for event in events if isinstance(event, PhaseDone)]
    assert done == kinds


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Delivered(), b"delivered"),
        (Delivered(balanced=True), b"balanced"),
        (Delivered(balanced=False), b"not balanced"),
        (Refused("A0"), b"refused A0"),
    ],
)
def test_an_outcome_is_a_word_in_the_journal(outcome: Outcome, text: bytes) -> None:
    assert encode_outcome(outcome) == text
    assert decode_outcome(text) == outcome
    with pytest.raises(LocalError):
        decode_outcome(text + b"!")


@pytest.mark.parametrize("seed", range(20, 26))
def test_one_host_settles_every_context_of_any_shop(seed: int) -> None:
    shop = open_shop(seed, count=40)
    host, ledger = open_acquirer(shop)
    for context in (0, 1):
        events, _ = converse(settle(shop, context), host)
        assert isinstance(events[-1], Finished)
    assert all(ledger.is_signed_off(c.tid, c.batch) for c in CONTEXTS)

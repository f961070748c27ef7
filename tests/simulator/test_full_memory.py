"""A terminal whose memory, or key set, is nearly at its end: it freezes where the whole way to its evidence is open,
and trades on where it is not. It never stands still in between."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.receipt import Receipt
from posdecom_protocol.documents.receipt import Refusal as Answered
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.errors import DocumentError
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Erasing,
    OfferRelease,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    StartErase,
)
from posdecom_protocol.release import Terms, all_delivered, receipt_over
from posdecom_simulator.memory.supply import MemoryFull
from posdecom_simulator.terminal import freeze, room, slots
from posdecom_simulator.terminal.freeze import transactions
from posdecom_simulator.terminal.hardware import tamper
from posdecom_simulator.terminal.terminal import Terminal
from terminal_life import NOW, Estate, TerminalLife


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return Estate(tmp_path_factory.mktemp("full") / "site")


@pytest.fixture
def life(estate: Estate) -> TerminalLife:
    return estate.life(transactions=2)


def fill(life: TerminalLife, left_bytes: int = 0) -> None:
    """All of the memory with what nothing erases, but for about so much."""
    for size in (1000, 100):
        with contextlib.suppress(MemoryFull):
            for number in range(10_000):
                life.store.put({f"ballast/{size}/{number}": bytes(size)})
    life.store.erase(list(life.store.names("ballast/1000/"))[: left_bytes // 1000])


def ask(life: TerminalLife, request: Request) -> Reply:
    (reply,) = Terminal(life.store, life.entropy).answer(request, NOW)
    return reply


def longest_receipt(life: TerminalLife) -> Receipt:
    """Every item of every context refused, and the longest texts."""
    order, seal = open_document(life.order, Order), open_document(life.seal, Seal)
    findings = {context.index: all_delivered(context) for context in seal.body.contexts}
    receipt = receipt_over(order, seal, findings, Terms("R" * 64, "I" * 80, NOW))
    items = {one.index: range(one.item_first, one.item_last + 1) for one in seal.body.contexts}
    contexts = (
        replace(one, refusals=tuple(Answered(sequence, "05") for sequence in items[one.index]))
        for one in receipt.contexts
    )
    return replace(receipt, contexts=tuple(contexts), remark="x" * 400)


def offer(life: TerminalLife) -> OfferRelease:
    body = longest_receipt(life)
    signers = (life.acquirer.release, life.acquirer.approver)
    return OfferRelease(tuple(issue(body, signer.signing_key()) for signer in signers))


def values(life: TerminalLife) -> dict[str, bytes | None]:
    return {name: life.store.get(name) for name in life.store.names()}


def refused(life: TerminalLife) -> str:
    with pytest.raises(AssertionError) as caught:
        life.freeze()
    return str(caught.value)


# --- flash ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_bytes", range(0, 14_000, 1000))
def test_however_full_it_is_a_terminal_that_freezes_comes_to_its_evidence(
    life: TerminalLife, left_bytes: int
) -> None:
    fill(life, left_bytes)
    try:
        life.freeze()
    except AssertionError as error:
        assert "NO_ROOM" in str(error)
        assert left_bytes < 13_000
        assert life.boot().life.state is LifecycleState.ACTIVE
        return
    assert left_bytes >= 4000
    release = offer(life)
    assert isinstance(ask(life, release), Released)
    assert isinstance(ask(life, StartErase(digest(release.receipts[0]))), Erasing)
    assert life.boot().life.state is LifecycleState.RETIRED
    assert life.store.holds(slots.EVIDENCE)


def test_a_freeze_without_room_changes_nothing_but_the_counters(life: TerminalLife) -> None:
    fill(life)
    before = values(life)
    assert "NO_ROOM" in refused(life)
    after = values(life)
    assert {name for name in after if before.get(name) != after[name]} == {slots.DUKPT.key, slots.STAN}
    assert before.keys() - after.keys() == set()


def test_a_full_terminal_boots_and_notes_a_tamper(life: TerminalLife) -> None:
    fill(life)
    for count in range(300):
        life.store.put({slots.BOOT_COUNT: count.to_bytes(4, "big")})
    assert life.boot().life.state is LifecycleState.ACTIVE
    tamper(life.image)
    assert life.boot().is_tampered


def test_receipts_that_leave_no_room_for_the_erase_are_refused_and_a_cancellation_is_the_way_out(
    life: TerminalLife,
) -> None:
    life.freeze()
    fill(life, 1500)
    before = values(life)
    assert ask(life, offer(life)) == Refused(Refusal.NO_ROOM)
    assert values(life) == before
    life.boot()
    life.thaw()
    assert life.boot().life.state is LifecycleState.ACTIVE


def test_a_memory_that_has_shrunk_since_the_release_is_erased_all_the_same(life: TerminalLife) -> None:
    life.freeze()
    release = offer(life)
    assert isinstance(ask(life, release), Released)
    fill(life)
    assert isinstance(ask(life, StartErase(digest(release.receipts[0]))), Erasing)
    assert life.boot().life.state is LifecycleState.RETIRED
    assert life.store.holds(slots.EVIDENCE)


def test_intent_evidence_and_receipts_are_no_longer_than_what_is_kept_free(life: TerminalLife) -> None:
    life.freeze()
    seal = open_document(life.seal, Seal).body
    free = room.for_release(life.store, life.order, seal)
    release = offer(life)
    assert all(len(receipt) <= free[slots.RECEIPTS[0]] for receipt in release.receipts)
    ask(life, release)
    ask(life, StartErase(digest(release.receipts[0])))
    assert len(life.store.get(slots.INTENT) or b"") <= free[slots.INTENT]
    life.boot()
    stuck_bytes = 3 * 110  # the longest line about worn bits, for each region
    assert len(life.store.get(slots.EVIDENCE) or b"") <= free[slots.EVIDENCE] - stuck_bytes


def test_the_refund_of_any_sale_is_no_longer_than_what_is_kept_free_for_its_record(estate: Estate) -> None:
    sales = list(transactions(estate.life(transactions=60).store))
    assert any(one.is_chip for one in sales)
    refunds = [one.given_back(one.number, one.stan, posted=True).encode() for one in sales]
    assert all(len(refund) <= room.REFUND_RECORD_BYTES for refund in refunds)


def leave_keys(life: TerminalLife, next_counter: int) -> None:
    """As if all keys before that counter had been spent."""
    state = life.store.get(slots.DUKPT.key) or b""
    life.store.put({slots.DUKPT.key: state[:10] + next_counter.to_bytes(4, "big") + state[14:]})


# --- keys -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "next_counter", [0, 0xFFFF_0000, 0xFFFE_8000], ids=["none", "the last", "the last two"]
)
def test_a_freeze_that_has_more_messages_than_there_are_keys_is_refused_and_changes_nothing(
    life: TerminalLife, next_counter: int
) -> None:
    leave_keys(life, next_counter)
    before = values(life)
    assert "NO_KEYS" in refused(life)
    assert values(life) == before
    assert life.boot().life.state is LifecycleState.ACTIVE


# --- what has no words of its own -----------------------------------------------------------------------------


def test_a_request_for_which_the_memory_is_too_small_after_all_is_refused_by_name(
    life: TerminalLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    life.freeze()
    release, before = offer(life), values(life)
    monkeypatch.setattr(type(life.store), "has_room", lambda *_: True)
    fill(life)
    ballast = values(life).keys() - before.keys()
    assert ask(life, release) == Refused(Refusal.NO_ROOM)
    life.store.erase(list(ballast))
    assert life.boot().life.state is LifecycleState.FROZEN


def test_a_day_that_no_seal_can_state_is_refused_by_name_and_the_terminal_trades_on(
    life: TerminalLife, monkeypatch: pytest.MonkeyPatch
) -> None:
    def freeze_too_much(*_: object) -> bytes:
        raise DocumentError("seal.totals", "are above twelve digits")

    monkeypatch.setattr(freeze, "freeze", freeze_too_much)
    assert "TOO_MUCH" in refused(life)
    assert life.boot().life.state is LifecycleState.ACTIVE

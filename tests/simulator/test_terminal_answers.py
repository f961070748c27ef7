"""What the terminal answers in each state: the table in docs/protocol.md, cell by cell; repeats are harmless."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from memory_line import NOW, Demo
from posdecom_protocol.cose import digest
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.order import Order
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.messages import (
    Erasing,
    GetInventory,
    GetProof,
    Items,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Proof,
    ProofKind,
    ReadItems,
    ReadPacked,
    ReadSalvage,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Sealed,
    StartErase,
)
from posdecom_protocol.release import Terms, all_delivered, receipt_over
from posdecom_simulator.provision import seeded
from posdecom_simulator.site import AcquirerSite
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal

PAGE: Final = Path(__file__).parents[2] / "docs" / "protocol.md"
STATES: Final = (LifecycleState.ACTIVE, LifecycleState.FROZEN, LifecycleState.SETTLED)


def cells() -> dict[tuple[str, LifecycleState], str]:
    """The first word of each cell: a reply, or the reason of a refusal."""
    text = PAGE.read_text(encoding="utf-8")
    table = text.partition("### What the terminal answers")[2].partition("###")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if re.match(r"\| [A-Z]\w+ \|", line)]
    return {
        (row[0].strip(), state): re.split(r"\W", cell.strip())[0]
        for row in rows
        for state, cell in zip(STATES, row[1:], strict=True)
    }


CELLS: Final = cells()


class Case:
    """One terminal of the demo, frozen and released in advance: its documents, and its memory in each state."""

    def __init__(self, demo: Demo) -> None:
        self.order = demo.order()
        terminal, store = demo.terminal(transactions=10)
        self.memories = {LifecycleState.ACTIVE: copy(store)}
        (sealed,) = terminal.answer(OfferOrder(NOW, self.order), NOW)
        assert isinstance(sealed, Sealed)
        self.seal = sealed.seal
        self.memories[LifecycleState.FROZEN] = copy(store)
        self.receipt = self._receipt(demo)
        self.cancellation = self._cancellation(demo)
        tuple(terminal.answer(OfferRelease((self.receipt,)), NOW))
        self.memories[LifecycleState.SETTLED] = copy(store)

    def terminal(self, state: LifecycleState) -> Terminal:
        terminal = Terminal(copy(self.memories[state]), seeded(7))
        assert terminal.life.state is state
        return terminal

    def request(self, name: str) -> Request:
        """One that would be granted in the state where it belongs."""
        requests: tuple[Request, ...] = (
            GetInventory(),
            OfferOrder(NOW, self.order),
            ReadItems(1, 2),
            ReadPacked(1, 2),
            ReadSalvage(1),
            OfferRelease((self.receipt,)),
            StartErase(digest(self.receipt)),
            OfferCancellation(self.cancellation),
            GetProof(ProofKind.SEAL),
        )
        return next(request for request in requests if type(request).__name__ == name)

    def _receipt(self, demo: Demo) -> bytes:
        order, seal = open_document(self.order, Order), open_document(self.seal, Seal)
        findings = {context.index: all_delivered(context) for context in seal.body.contexts}
        receipt = receipt_over(order, seal, findings, Terms("R-1", "Demo Acquirer", NOW))
        return issue(receipt, AcquirerSite.load(demo.directory / "acquirer").release.signing_key())

    def _cancellation(self, demo: Demo) -> bytes:
        seal = open_document(self.seal, Seal)
        cancellation = Cancellation(
            cancellation_id="X-1",
            serial=seal.body.serial,
            seal_digest=seal.digest,
            challenge=seal.body.challenge,
            issued_at=NOW,
            issuer="Demo Acquirer",
            delivered=(),
            closed=(),
            next_batches=(),
            reason="the appeal was won",
        )
        return issue(cancellation, AcquirerSite.load(demo.directory / "acquirer").order.signing_key())


def copy(store: MemoryStore) -> MemoryStore:
    values = {name: store.get(name) for name in store.names()}
    fresh = MemoryStore()
    fresh.put({name: value for name, value in values.items() if value is not None})
    return fresh


def word(replies: tuple[Reply, ...]) -> str:
    first = replies[0]
    return first.reason.name if isinstance(first, Refused) else type(first).__name__


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(Demo(tmp_path_factory.mktemp("site") / "demo"))


def test_the_table_has_every_request() -> None:
    assert {name for name, _ in CELLS} == {request.__name__ for request in Request.__args__}


@pytest.mark.parametrize(("name", "state"), CELLS)
def test_each_request_is_answered_as_the_page_says(case: Case, name: str, state: LifecycleState) -> None:
    assert word(tuple(case.terminal(state).answer(case.request(name), NOW))) == CELLS[name, state]


@pytest.mark.parametrize(("name", "state"), CELLS)
def test_a_refused_request_changes_nothing(case: Case, name: str, state: LifecycleState) -> None:
    store = copy(case.memories[state])
    before = {key: store.get(key) for key in store.names()}
    replies = tuple(Terminal(store, seeded(7)).answer(case.request(name), NOW))
    if isinstance(replies[0], Refused) or not name.startswith(("Offer", "Start")):
        assert {key: store.get(key) for key in store.names()} == before
    else:
        assert len(replies) == 1


def test_another_order_than_the_one_that_froze_it_comes_too_late(case: Case) -> None:
    for state in STATES[1:]:
        (reply,) = case.terminal(state).answer(OfferOrder(NOW, case.order + b"\0"), NOW)
        assert reply == Refused(Refusal.STATE)


def test_the_same_order_gives_the_same_seal(case: Case) -> None:
    for state in STATES[1:]:
        assert tuple(case.terminal(state).answer(OfferOrder(NOW + 9, case.order), NOW + 9)) == (
            Sealed(case.seal),
        )


@pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 0), (1, 10**6), (10**6, 1), (2**32 - 1, 2**32 - 1)])
def test_items_out_of_range_are_not_found(case: Case, first: int, count: int) -> None:
    (reply,) = case.terminal(LifecycleState.FROZEN).answer(ReadItems(first, count), NOW)
    assert reply == Refused(Refusal.NOT_FOUND)


def test_any_range_gives_the_same_items(case: Case) -> None:
    terminal = case.terminal(LifecycleState.FROZEN)
    count = open_document(case.seal, Seal).body.item_count

    def read(first: int, how_many: int) -> tuple[bytes, ...]:
        replies = tuple(terminal.answer(ReadItems(first, how_many), NOW))
        return tuple(item for reply in replies if isinstance(reply, Items) for item in reply.items)

    whole = read(1, count)
    assert len(whole) == count
    assert tuple(read(number, 1)[0] for number in range(1, count + 1)) == whole
    assert read(count, 1) == whole[-1:]


def test_each_proof_is_the_document_that_was_stored(case: Case) -> None:
    terminal = case.terminal(LifecycleState.SETTLED)
    held = {ProofKind.ORDER: case.order, ProofKind.SEAL: case.seal, ProofKind.RECEIPT: case.receipt}
    for kind in ProofKind:
        expected = Proof(kind, held[kind]) if kind in held else Refused(Refusal.NOT_FOUND)
        assert tuple(terminal.answer(GetProof(kind), NOW)) == (expected,)


def test_of_a_release_that_a_power_cut_left_half_stored_nothing_stays(case: Case) -> None:
    """A second receipt from then would stand beside the new one, and no erase could be started."""
    store = copy(case.memories[LifecycleState.FROZEN])
    store.put({slots.RECEIPTS[1]: b"the second of two that were offered before"})
    terminal = Terminal(store, seeded(7))
    assert tuple(terminal.answer(OfferRelease((case.receipt,)), NOW)) == (Released(LifecycleState.SETTLED),)
    assert tuple(terminal.answer(StartErase(digest(case.receipt)), NOW)) == (Erasing(),)


def test_a_terminal_that_finished_its_erase_starts_afresh_once(case: Case) -> None:
    """Its process has seen the identity key."""
    store = copy(case.memories[LifecycleState.SETTLED])
    assert tuple(Terminal(store, seeded(7)).answer(StartErase(digest(case.receipt)), NOW)) == (Erasing(),)
    boots = [Terminal.boot(store, seeded(7)) for _ in range(2)]
    assert [terminal.restart_due for terminal in boots] == [True, False]
    assert boots[1].life.state is LifecycleState.RETIRED
    assert store.get(slots.INTENT) is None


def test_an_erase_under_another_digest_is_refused_and_nothing_is_intended(case: Case) -> None:
    terminal = case.terminal(LifecycleState.SETTLED)
    assert tuple(terminal.answer(StartErase(bytes(32)), NOW)) == (Refused(Refusal.SEAL),)
    assert not terminal.restart_due
    assert terminal.life.state is LifecycleState.SETTLED


def test_an_erase_needs_the_stored_receipt_to_be_whole(case: Case) -> None:
    """Between release and erase the memory may have been touched."""
    store = copy(case.memories[LifecycleState.SETTLED])
    store.put({slots.RECEIPTS[0]: case.receipt[:-1] + bytes((case.receipt[-1] ^ 1,))})
    terminal = Terminal(store, seeded(7))
    assert tuple(terminal.answer(StartErase(digest(case.receipt)), NOW)) == (Refused(Refusal.SIGNATURES),)
    assert not terminal.restart_due


def test_released_confirms_the_stored_receipt_only(case: Case) -> None:
    other = case.receipt[:-1] + bytes((case.receipt[-1] ^ 1,))
    for receipts in ((other,), (case.receipt, case.receipt), ()):
        terminal = case.terminal(LifecycleState.SETTLED)
        assert tuple(terminal.answer(OfferRelease(receipts), NOW)) == (Refused(Refusal.SIGNATURES),)

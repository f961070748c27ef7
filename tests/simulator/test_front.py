"""The terminal on its line: what it says first, what it gives in the clear, how much it holds, when it restarts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_protocol.channel import Channel
from posdecom_protocol.documents import open_document
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.frames import Frame, FrameKind, encode_frame
from posdecom_protocol.greeting import Feature, Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.messages import (
    ITEMS_PER_BULK_BYTES,
    Confirmed,
    Erasing,
    GetInventory,
    GetProof,
    Inventory,
    Items,
    Message,
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Proof,
    ProofKind,
    ReadItems,
    Refusal,
    Refused,
    Reply,
    Request,
    Sealed,
    StartErase,
    encode,
)
from posdecom_protocol.records import chain_head
from posdecom_protocol.stack import Arrived, Lost, Opened, Stack, StackEvent
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import Life, encode_life
from posdecom_simulator.terminal.front import REQUESTS_MAX, RESTART_S, Front
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal

SERIAL = "PD-000001"
REQUESTS: list[Request] = [
    GetInventory(),
    OfferOrder(NOW, b"order"),
    ReadItems(1, 1),
    OfferRelease((b"receipt",)),
    StartErase(bytes(32)),
    OfferCancellation(b"cancellation"),
]
"""Everything but GetProof."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("site") / "demo")


def front_of(terminal: Terminal, channel: Callable[[], Channel]) -> Front:
    return Front(terminal, channel, NOW)


def no_channel() -> Channel:
    raise AssertionError("a channel was asked for")


@dataclass
class Asker:
    """An agent's stack that asks what it is told to, and keeps what comes."""

    stack: Stack
    waiting: list[Message] = field(default_factory=list)
    told: list[StackEvent] = field(default_factory=list)

    @classmethod
    def at(cls, number: int, service: Service, channel: Callable[[], Channel | None]) -> Asker:
        link = Link.initiator(Hello(number, service), NOW, line_rate_bytes_per_s=None)
        return cls(Stack(link, lambda _: channel()))

    @classmethod
    def in_clear(cls, number: int = 1, service: Service = Service.PROOFS) -> Asker:
        return cls.at(number, service, lambda: None)

    @classmethod
    def by_tls(cls, demo: Demo, number: int = 1) -> Asker:
        return cls.at(number, Service.CHANNEL, lambda: demo.access().channel_to(SERIAL))

    def receive(self, data: bytes, now: float) -> None:
        self.stack.receive(data, now)
        self._turn()

    def tick(self, now: float) -> None:
        self.stack.tick(now)
        self._turn()

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self.stack.bytes_to_send(now, room_bytes)

    def deadline(self) -> float | None:
        return self.stack.deadline()

    def _turn(self) -> None:
        self.told += self.stack.events()
        while self.waiting and self.stack.is_ready:
            self.stack.send(self.waiting.pop(0))

    @property
    def replies(self) -> list[Message]:
        return [event.message for event in self.told if isinstance(event, Arrived)]

    @property
    def is_lost(self) -> bool:
        return any(isinstance(event, Lost) for event in self.told)

    @property
    def is_open(self) -> bool:
        return any(isinstance(event, Opened) for event in self.told)


class StubTerminal(Terminal):
    """Answers by a script, and counts how far each answer was made. Stores nothing."""

    def __init__(self, demo: Demo, answers: Callable[[Request], Iterator[Reply]]) -> None:
        _terminal, store = demo.terminal(transactions=0)
        super().__init__(store, lambda count: bytes(count))
        self._answers = answers
        self.asked: list[Request] = []

    def answer(self, request: Request, now: float) -> Iterator[Reply]:
        self.asked.append(request)
        return self._answers(request)


# --- in the channel ------------------------------------------------------------------------------


def test_it_confirms_before_anything_else_and_answers_in_order(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    asker = Asker.by_tls(demo)
    asker.waiting = [GetInventory(), GetProof(ProofKind.EVIDENCE), ReadItems(1, 1)]
    MemoryLine(asker, front_of(terminal, demo.terminal_channel)).exchange()
    confirmed, inventory, *refusals = asker.replies
    assert confirmed == Confirmed(LifecycleState.ACTIVE, False)
    assert isinstance(inventory, Inventory)
    assert (inventory.serial, len(inventory.contexts)) == (SERIAL, 2)
    assert sum(context.records for context in inventory.contexts) == 6
    assert refusals == [Refused(Refusal.NOT_FOUND), Refused(Refusal.STATE)]


def test_the_confirmation_comes_unasked(demo: Demo) -> None:
    terminal, store = demo.terminal()
    store.put({slots.TAMPER_MARK: b"\1"})
    asker = Asker.by_tls(demo)
    MemoryLine(asker, front_of(terminal, demo.terminal_channel)).exchange()
    assert asker.replies == [Confirmed(LifecycleState.ACTIVE, True)]


def test_a_freeze_and_a_flush_give_the_sealed_items(demo: Demo) -> None:
    terminal, _ = demo.terminal(transactions=30)
    asker = Asker.by_tls(demo)
    asker.waiting = [OfferOrder(NOW, demo.order())]
    line = MemoryLine(asker, front_of(terminal, demo.terminal_channel))
    line.exchange()
    sealed = asker.replies[-1]
    assert isinstance(sealed, Sealed)
    seal = open_document(sealed.seal, Seal).body
    asker.waiting = [ReadItems(1, seal.item_count - 1), ReadItems(seal.item_count, 1)]
    line.run(lambda: not asker.waiting)
    bulks = [reply for reply in asker.replies[2:] if isinstance(reply, Items)]
    items = [item for bulk in bulks for item in bulk.items]
    assert [bulk.first for bulk in bulks] == [
        1 + sum(len(earlier.items) for earlier in bulks[:at]) for at in range(len(bulks))
    ]
    assert len(items) == seal.item_count
    assert chain_head(items) == seal.head


def test_each_session_is_confirmed_anew_and_unanswered_requests_die_with_theirs(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    front = front_of(terminal, demo.terminal_channel)
    first = Asker.by_tls(demo, 1)
    line = MemoryLine(first, front)
    line.exchange()
    first.stack.send(GetInventory())
    lost_request = first.bytes_to_send(line.now)
    second = Asker.by_tls(demo, 2)
    second.tick(line.now)
    front.receive(lost_request + second.bytes_to_send(line.now), line.now)
    MemoryLine(second, front, line.now).exchange()
    assert second.replies == [Confirmed(LifecycleState.ACTIVE, False)]


def test_what_is_left_of_an_answer_dies_with_its_session(demo: Demo) -> None:
    terminal = StubTerminal(demo, lambda request: iter([Items(1, (bytes(2000),) * 8)] * 100))
    front = front_of(terminal, demo.terminal_channel)
    first = Asker.by_tls(demo, 1)
    line = MemoryLine(first, front)
    line.exchange()
    first.stack.send(ReadItems(1, 800))
    front.receive(first.bytes_to_send(line.now), line.now)
    second = Asker.by_tls(demo, 2)
    MemoryLine(second, front, line.now).exchange()
    assert second.replies == [Confirmed(LifecycleState.ACTIVE, False)]


# --- in the clear --------------------------------------------------------------------------------


def retired(demo: Demo, state: LifecycleState) -> tuple[Terminal, MemoryStore]:
    terminal, store = demo.terminal(transactions=0)
    store.put({slots.STATE: encode_life(Life(state)), slots.ORDER: b"order", slots.EVIDENCE: b"evidence"})
    return terminal, store


@pytest.mark.parametrize("state", [LifecycleState.RETIRED, LifecycleState.BLANK])
@pytest.mark.parametrize("service", Service)
def test_without_an_identity_it_gives_proofs_in_the_clear_whatever_service_is_asked_for(
    demo: Demo, state: LifecycleState, service: Service
) -> None:
    terminal, _ = retired(demo, state)
    asker = Asker.in_clear(service=service)
    asker.waiting = [GetProof(ProofKind.ORDER), GetProof(ProofKind.EVIDENCE), GetProof(ProofKind.SEAL)]
    MemoryLine(asker, front_of(terminal, no_channel)).exchange()
    assert asker.replies == [
        Proof(ProofKind.ORDER, b"order"),
        Proof(ProofKind.EVIDENCE, b"evidence"),
        Refused(Refusal.NOT_FOUND),
    ]


@pytest.mark.parametrize("state", LifecycleState)
def test_in_the_clear_it_refuses_all_but_proofs_in_every_state(demo: Demo, state: LifecycleState) -> None:
    terminal, store = retired(demo, state)
    before = {name: store.get(name) for name in store.names()}
    asker = Asker.in_clear()
    asker.waiting = [*REQUESTS]
    MemoryLine(asker, front_of(terminal, no_channel)).exchange()
    assert asker.replies == [Refused(Refusal.STATE)] * len(REQUESTS)
    assert {name: store.get(name) for name in store.names()} == before


@pytest.mark.parametrize(
    "state", [state for state in LifecycleState if state.name not in ("RETIRED", "BLANK")]
)
def test_with_an_identity_it_gives_no_proof_in_the_clear(demo: Demo, state: LifecycleState) -> None:
    terminal, _ = retired(demo, state)
    asker = Asker.in_clear()
    asker.waiting = [GetProof(kind) for kind in ProofKind]
    MemoryLine(asker, front_of(terminal, no_channel)).exchange()
    assert asker.replies == [Refused(Refusal.STATE)] * len(ProofKind)


def test_a_hello_that_leads_nowhere_does_not_open_the_clear_connection_to_requests(demo: Demo) -> None:
    """It asks for a channel, in a version that nobody speaks, in the middle of a connection in the clear."""
    terminal, _ = demo.terminal()
    front = front_of(terminal, demo.terminal_channel)
    asker = Asker.in_clear()
    line = MemoryLine(asker, front)
    line.exchange()
    hello = Hello(2, Service.CHANNEL, version_min=200, version_max=200)
    front.receive(encode_frame(Frame(FrameKind.HELLO, 0, 0, hello.encode()), 0), line.now)
    front.bytes_to_send(line.now)
    asker.waiting = [GetInventory(), OfferOrder(NOW, demo.order())]
    line.exchange()
    assert asker.replies == [Refused(Refusal.STATE)] * 2
    assert terminal.life.state is LifecycleState.ACTIVE


def test_the_welcome_says_what_the_terminal_is(demo: Demo) -> None:
    terminal, store = demo.terminal()
    store.put({slots.TAMPER_MARK: b"\1"})
    asker = Asker.in_clear(7, Service.IDENTIFY)
    MemoryLine(asker, front_of(terminal, no_channel)).exchange()
    (greeted, _) = asker.told
    assert greeted.greeting == Welcome(  # type: ignore[union-attr]  # a Greeted, or it fails here
        7, LifecycleState.ACTIVE, True, "Demo Terminal Maker", "PD-1", SERIAL, features=Feature.PACKED_ITEMS
    )


# --- bounds --------------------------------------------------------------------------------------


def test_a_flush_holds_few_messages_however_many_it_sends(demo: Demo) -> None:
    bulk, count = Items(1, (bytes(2000),) * 8), 200
    made = 0

    def answers(request: Request) -> Iterator[Reply]:
        nonlocal made
        for _ in range(count):
            made += 1
            yield bulk

    terminal = StubTerminal(demo, answers)
    asker = Asker.by_tls(demo)
    asker.waiting = [ReadItems(1, 1600)]
    ahead: list[int] = []
    line = MemoryLine(asker, front_of(terminal, demo.terminal_channel))
    line.watch = lambda: ahead.append(made - len(asker.replies))
    line.run(lambda: len(asker.replies) == 1 + count)
    assert max(ahead) * len(encode(bulk)) <= 64 * 1024 + 2 * ITEMS_PER_BULK_BYTES


def test_nothing_more_is_made_for_a_peer_that_takes_nothing(demo: Demo) -> None:
    made = 0

    def answers(request: Request) -> Iterator[Reply]:
        nonlocal made
        while True:
            made += 1
            yield Items(1, (bytes(2000),) * 8)

    front = front_of(StubTerminal(demo, answers), demo.terminal_channel)
    asker = Asker.by_tls(demo)
    line = MemoryLine(asker, front)
    line.exchange()
    asker.stack.send(ReadItems(1, 10**6))
    front.receive(asker.bytes_to_send(line.now), line.now)
    for step in range(100):
        front.tick(line.now + step / 10)
        front.bytes_to_send(line.now + step / 10)
    assert made <= 6


def requests_at_once(demo: Demo, count: int) -> tuple[StubTerminal, Asker]:
    """So many requests in one piece, in the channel."""
    terminal = StubTerminal(demo, lambda request: iter((Refused(Refusal.BUSY),)))
    asker = Asker.by_tls(demo)
    line = MemoryLine(asker, front_of(terminal, demo.terminal_channel))
    line.exchange()
    asker.waiting = [GetInventory()] * count
    line.run_for(5.0)
    return terminal, asker


def test_as_many_requests_as_may_wait_are_answered(demo: Demo) -> None:
    terminal, asker = requests_at_once(demo, REQUESTS_MAX)
    assert len(terminal.asked) == REQUESTS_MAX
    assert asker.replies[1:] == [Refused(Refusal.BUSY)] * REQUESTS_MAX
    assert not asker.is_lost


def test_one_request_more_ends_the_session(demo: Demo) -> None:
    _, asker = requests_at_once(demo, REQUESTS_MAX + 1)
    assert asker.is_lost


def test_a_reply_from_the_agent_ends_the_session(demo: Demo) -> None:
    terminal = StubTerminal(demo, lambda request: iter(()))
    asker = Asker.by_tls(demo)
    asker.waiting = [Confirmed(LifecycleState.ACTIVE, False)]
    line = MemoryLine(asker, front_of(terminal, demo.terminal_channel))
    line.run(lambda: asker.is_lost)
    assert terminal.asked == []


def test_a_malformed_message_ends_the_session_and_the_next_one_is_served(demo: Demo) -> None:
    terminal, _ = retired(demo, LifecycleState.RETIRED)
    front = front_of(terminal, no_channel)
    raw = Link.initiator(Hello(1, Service.PROOFS), NOW, line_rate_bytes_per_s=None)
    line = MemoryLine(raw, front)
    line.exchange()
    raw.send(b"\x07\0\0\1\x09")
    line.run_for(5.0)
    asker = Asker.in_clear(2)
    asker.waiting = [GetProof(ProofKind.ORDER)]
    MemoryLine(asker, front, NOW + 5).exchange()
    assert asker.replies == [Proof(ProofKind.ORDER, b"order")]


# --- restart -------------------------------------------------------------------------------------


def erasing(demo: Demo) -> tuple[Front, Asker, MemoryLine, StubTerminal]:
    def answers(request: Request) -> Iterator[Reply]:
        terminal.restart_due = True
        yield Erasing()

    terminal = StubTerminal(demo, answers)
    front = front_of(terminal, demo.terminal_channel)
    asker = Asker.by_tls(demo)
    line = MemoryLine(asker, front)
    line.exchange()
    assert not front.is_restart_due(line.now)
    asker.stack.send(StartErase(bytes(32)))
    return front, asker, line, terminal


def test_it_restarts_once_its_last_reply_arrived_and_not_before(demo: Demo) -> None:
    front, asker, line, _ = erasing(demo)
    front.receive(asker.bytes_to_send(line.now), line.now)
    reply = front.bytes_to_send(line.now)
    assert reply and not front.is_restart_due(line.now)
    asker.receive(reply, line.now)
    assert asker.replies[-1] == Erasing()
    assert not front.is_restart_due(line.now)
    line.run(lambda: front.is_restart_due(line.now), limit_s=RESTART_S / 2)


def test_it_restarts_all_the_same_when_the_reply_cannot_arrive(demo: Demo) -> None:
    front, asker, line, _ = erasing(demo)
    front.receive(asker.bytes_to_send(line.now), line.now)
    line.is_cut = True
    started = line.now
    line.run(lambda: front.is_restart_due(line.now), limit_s=10.0)
    assert line.now == started + RESTART_S


def test_it_wants_to_be_woken_for_its_restart(demo: Demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posdecom_simulator.terminal.front.RESTART_S", 0.01)
    front, asker, line, _ = erasing(demo)
    front.receive(asker.bytes_to_send(line.now), line.now)
    front.bytes_to_send(line.now)
    assert front.deadline() == line.now + 0.01


def test_it_is_deaf_once_it_must_restart(demo: Demo) -> None:
    front, asker, line, terminal = erasing(demo)
    asker.waiting = [GetInventory(), GetInventory()]
    line.exchange()
    line.run_for(1.0)
    assert terminal.asked == [StartErase(bytes(32))]
    assert asker.replies[-1] == Erasing()
    assert front.is_restart_due(line.now)


def test_any_end_of_the_line_lets_it_restart(demo: Demo) -> None:
    front, asker, line, _ = erasing(demo)
    front.receive(asker.bytes_to_send(line.now), line.now)
    assert not front.is_restart_due(line.now)
    other = Asker.in_clear(2)
    other.tick(line.now)
    front.receive(other.bytes_to_send(line.now), line.now)
    assert front.is_restart_due(line.now)

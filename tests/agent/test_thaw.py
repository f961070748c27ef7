"""A cancellation is brought to exactly one terminal, which judges it; it always ends, and says how."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.thaw import ANSWER_S, Thaw
from posdecom_protocol.documents import issue, open_document
from posdecom_protocol.documents.cancellation import Cancellation
from posdecom_protocol.documents.seal import Seal
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link_events import CloseReason, LinkState
from posdecom_protocol.messages import (
    OfferCancellation,
    OfferOrder,
    OfferRelease,
    Refusal,
    Refused,
    Released,
    Reply,
    Request,
    Sealed,
    Thawed,
)
from posdecom_protocol.stack import ChannelOver, LinkOver
from posdecom_simulator.site import AcquirerSite
from posdecom_simulator.terminal import slots
from posdecom_simulator.terminal.device import Life, encode_life
from posdecom_simulator.terminal.front import Front
from posdecom_simulator.terminal.store import MemoryStore
from posdecom_simulator.terminal.terminal import Terminal

SERIAL = "PD-000001"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("site") / "demo")


class StubTerminal(Terminal):
    """Answers every request with the same replies, and remembers what it was asked."""

    def __init__(self, store: MemoryStore, *replies: Reply) -> None:
        super().__init__(store, lambda count: bytes(count))
        self._replies = replies
        self.asked: list[Request] = []

    def answer(self, request: Request, now: float) -> Iterator[Reply]:
        self.asked.append(request)
        return iter(self._replies)


def brought(demo: Demo, terminal: Terminal, document: bytes, serial: str = SERIAL) -> tuple[Thaw, MemoryLine]:
    thaw = Thaw(document, serial, demo.access(), NOW)
    line = MemoryLine(thaw, Front(terminal, demo.terminal_channel, NOW))
    line.run(lambda: thaw.is_over, limit_s=ANSWER_S + 1)
    return thaw, line


def ended(thaw: Thaw) -> tuple[bool, Refusal | None, str | None, LinkOver | ChannelOver | None]:
    return thaw.is_thawed, thaw.refusal, thaw.stranger, thaw.cause


def cancellation(demo: Demo, seal: bytes) -> bytes:
    signed = open_document(seal, Seal)
    body = Cancellation(
        cancellation_id="X-1",
        serial=SERIAL,
        seal_digest=signed.digest,
        challenge=signed.body.challenge,
        issued_at=NOW,
        issuer="Demo Acquirer",
        delivered=(),
        closed=(),
        next_batches=(),
        reason="the appeal was won",
    )
    return issue(body, AcquirerSite.load(demo.directory / "acquirer").order.signing_key())


def test_a_frozen_terminal_trades_again(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    (sealed,) = terminal.answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(sealed, Sealed)
    thaw, line = brought(demo, terminal, cancellation(demo, sealed.seal))
    assert ended(thaw) == (True, None, None, None)
    assert terminal.life.state is LifecycleState.ACTIVE
    line.run_for(2.0)
    assert thaw.stack.link.state is LinkState.CLOSED


def test_it_brings_exactly_these_bytes_and_asks_nothing_else(demo: Demo) -> None:
    stub = StubTerminal(demo.terminal()[1], Thawed())
    brought(demo, stub, b"cancellation")
    assert stub.asked == [OfferCancellation(b"cancellation")]


def test_a_refusal_is_told(demo: Demo) -> None:
    thaw, _ = brought(demo, StubTerminal(demo.terminal()[1], Refused(Refusal.CHALLENGE)), b"x")
    assert ended(thaw) == (False, Refusal.CHALLENGE, None, None)


def test_another_terminal_on_the_line_is_named_and_asked_nothing(demo: Demo) -> None:
    stub = StubTerminal(demo.terminal()[1], Thawed())
    thaw, _ = brought(demo, stub, b"x", "PD-000002")
    assert ended(thaw) == (False, None, SERIAL, None)
    assert stub.asked == []


@pytest.mark.parametrize("state", [LifecycleState.RETIRED, LifecycleState.BLANK])
def test_a_terminal_that_has_erased_itself_is_in_the_wrong_state(demo: Demo, state: LifecycleState) -> None:
    terminal, store = demo.terminal(transactions=0)
    store.put({slots.STATE: encode_life(Life(state))})
    thaw, _ = brought(demo, terminal, b"x")
    assert ended(thaw) == (False, Refusal.STATE, None, None)


def test_a_terminal_that_stays_silent_is_given_up(demo: Demo) -> None:
    thaw, line = brought(demo, StubTerminal(demo.terminal()[1]), b"x")
    assert ended(thaw) == (False, None, None, ChannelOver("the terminal does not answer"))
    assert line.now == NOW + ANSWER_S


def test_an_answer_to_something_else_is_told(demo: Demo) -> None:
    released = Released(LifecycleState.SETTLED)
    thaw, _ = brought(demo, StubTerminal(demo.terminal()[1], released), b"x")
    assert ended(thaw) == (False, None, None, ChannelOver("the terminal sent a message out of place"))


def test_a_dead_line_is_told(demo: Demo) -> None:
    thaw = Thaw(b"x", SERIAL, demo.access(), NOW)
    line = MemoryLine(thaw, Front(demo.terminal()[0], demo.terminal_channel, NOW))
    line.is_cut = True
    line.run(lambda: thaw.is_over)
    assert ended(thaw) == (False, None, None, LinkOver(CloseReason.NO_ANSWER))


def test_a_receipt_over_the_thawed_seal_is_dead(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    (sealed,) = terminal.answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(sealed, Sealed)
    brought(demo, terminal, cancellation(demo, sealed.seal))
    (refused,) = terminal.answer(OfferRelease((b"receipt",)), NOW)
    assert refused == Refused(Refusal.STATE)

"""A look asks one thing and changes nothing; it always ends, and says why it saw nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.look import ANSWER_S, Look
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link_events import CloseReason, LinkState
from posdecom_protocol.messages import Refusal, Refused, Reply, Request, Thawed
from posdecom_protocol.stack import ChannelOver, LinkOver
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
    """Answers every request with the same replies."""

    def __init__(self, store: MemoryStore, *replies: Reply) -> None:
        super().__init__(store, lambda count: bytes(count))
        self._replies = replies

    def answer(self, request: Request, now: float) -> Iterator[Reply]:
        return iter(self._replies)


def looked_at(demo: Demo, terminal: Terminal) -> tuple[Look, MemoryLine]:
    look = Look(demo.access(), NOW)
    line = MemoryLine(look, Front(terminal, demo.terminal_channel, NOW))
    line.run(lambda: look.is_over)
    return look, line


def test_it_sees_what_is_there_and_leaves_it_as_it_is(demo: Demo) -> None:
    terminal, store = demo.terminal()
    before = {name: store.get(name) for name in store.names()}
    look, _ = looked_at(demo, terminal)
    assert look.welcome is not None and look.welcome.serial == SERIAL
    assert look.inventory is not None
    assert look.inventory.state is LifecycleState.ACTIVE
    assert [slot.slot for slot in look.inventory.slots][:2] == ["TPK", "TAK"]
    assert [context.currency for context in look.inventory.contexts] == [156, 344]
    assert look.refusal is None and look.cause is None
    assert {name: store.get(name) for name in store.names()} == before


def test_it_says_goodbye(demo: Demo) -> None:
    look, line = looked_at(demo, demo.terminal()[0])
    line.run_for(2.0)
    assert look.stack.link.state is LinkState.CLOSED


@pytest.mark.parametrize("state", [LifecycleState.RETIRED, LifecycleState.BLANK])
def test_of_a_terminal_without_identity_it_sees_the_greeting(demo: Demo, state: LifecycleState) -> None:
    terminal, store = demo.terminal(transactions=0)
    store.put({slots.STATE: encode_life(Life(state))})
    look, _ = looked_at(demo, terminal)
    assert look.welcome is not None and look.welcome.state is state
    assert (look.inventory, look.refusal, look.cause) == (None, None, None)


def test_a_refusal_is_told(demo: Demo) -> None:
    look, _ = looked_at(demo, StubTerminal(demo.terminal()[1], Refused(Refusal.BUSY)))
    assert look.refusal is Refusal.BUSY
    assert (look.inventory, look.cause) == (None, None)


@pytest.mark.parametrize("answer_s", [ANSWER_S, 0.07])
def test_a_terminal_that_stays_silent_is_given_up(
    demo: Demo, monkeypatch: pytest.MonkeyPatch, answer_s: float
) -> None:
    monkeypatch.setattr("posdecom_agent.look.ANSWER_S", answer_s)
    look, line = looked_at(demo, StubTerminal(demo.terminal()[1]))
    assert look.cause == ChannelOver("the terminal does not answer")
    assert line.now == NOW + answer_s


def test_an_answer_to_something_else_is_told(demo: Demo) -> None:
    look, _ = looked_at(demo, StubTerminal(demo.terminal()[1], Thawed()))
    assert look.cause == ChannelOver("the terminal sent a message out of place")


def test_a_dead_line_is_told(demo: Demo) -> None:
    look = Look(demo.access(), NOW)
    line = MemoryLine(look, Front(demo.terminal()[0], demo.terminal_channel, NOW))
    line.is_cut = True
    line.run(lambda: look.is_over)
    assert look.welcome is None
    assert look.cause == LinkOver(CloseReason.NO_ANSWER)

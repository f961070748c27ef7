"""From a silent line to a terminal that may be asked: the right service, the right terminal, and each way to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.approach import (
    LET_IN_S,
    Access,
    Answered,
    Approach,
    ApproachEvent,
    Met,
    Over,
    Ready,
    Stranger,
)
from posdecom_protocol.channel import Channel
from posdecom_protocol.errors import LocalError
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import (
    Confirmed,
    GetInventory,
    GetProof,
    Inventory,
    Message,
    Proof,
    ProofKind,
    Thawed,
)
from posdecom_protocol.stack import ChannelOver, Greeted, LinkOver, Lost, Opened, Stack, StackEvent
from posdecom_simulator.provision import renew_technician
from posdecom_simulator.terminal.front import Front

SERIAL = "PD-000001"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("site") / "demo")


@dataclass
class Acceptor:
    """A terminal's end that says what a test wants, as soon as it is open."""

    state: LifecycleState = LifecycleState.ACTIVE
    channel: Callable[[], Channel | None] = lambda: None
    says: tuple[Message, ...] = ()
    ends: bool = False
    """Ends the channel instead."""
    tampered: bool = False
    falls_silent: bool = False
    """Once it is greeted for a channel."""
    told: list[StackEvent] = field(default_factory=list)
    stack: Stack = field(init=False)
    _has_welcomed: bool = False

    def __post_init__(self) -> None:
        self.stack = Stack(Link.acceptor(self._welcome, NOW, line_rate_bytes_per_s=None), self._channel_for)

    def _welcome(self, hello: Hello) -> Welcome:
        return Welcome(hello.connection_id, self.state, self.tampered, "Acme", "T1", SERIAL)

    def _channel_for(self, hello: Welcome | Hello) -> Channel | None:
        assert isinstance(hello, Hello)
        return self.channel() if hello.service is Service.CHANNEL else None

    def receive(self, data: bytes, now: float) -> None:
        self.stack.receive(data, now)
        self._turn(now)

    def tick(self, now: float) -> None:
        self.stack.tick(now)
        self._turn(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        said = self.stack.bytes_to_send(now, room_bytes)
        is_silent = self.falls_silent and self._has_welcomed
        self._has_welcomed = Service.CHANNEL in self.services
        return b"" if is_silent else said

    def deadline(self) -> float | None:
        return self.stack.deadline()

    def _turn(self, now: float) -> None:
        events = self.stack.events()
        self.told += events
        opened = [
            event
            for event in events
            if isinstance(event, Opened) and self.services[-1:] != [Service.IDENTIFY]
        ]
        if opened and self.ends:
            self.stack.close(now)
        elif opened and self.stack.is_ready:
            for message in self.says:
                self.stack.send(message)

    @property
    def services(self) -> list[Service]:
        """What each connection was for."""
        hellos = [event.greeting for event in self.told if isinstance(event, Greeted)]
        return [hello.service for hello in hellos if isinstance(hello, Hello)]


def met(state: LifecycleState = LifecycleState.ACTIVE) -> Met:
    return Met(Welcome(1, state, False, "Acme", "T1", SERIAL))


def same(events: list[ApproachEvent]) -> list[ApproachEvent]:
    """With the connection's random id replaced."""
    return [met(event.welcome.state) if isinstance(event, Met) else event for event in events]


def clear_only() -> Access:
    """For approaches that must not make a channel."""

    def channel_to(serial: str) -> Channel:
        raise AssertionError("a channel was made")

    numbers: Iterator[int] = iter(range(1, 100))
    return Access(channel_to, None, lambda count: next(numbers).to_bytes(count, "big"))  # type: ignore[arg-type]


# --- what goes well ------------------------------------------------------------------------------


def test_it_identifies_first_and_then_makes_the_channel(demo: Demo) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel, says=(Confirmed(LifecycleState.FROZEN, False),))
    approach = Approach(demo.access(), NOW, serial=SERIAL)
    MemoryLine(approach, acceptor).exchange()
    assert acceptor.services == [Service.IDENTIFY, Service.CHANNEL]
    assert same(approach.events()) == [met(), Ready(LifecycleState.FROZEN, in_clear=False)]
    assert approach.is_ready


def test_the_confirmation_is_believed_and_not_the_greeting(demo: Demo) -> None:
    acceptor = Acceptor(
        LifecycleState.ACTIVE, demo.terminal_channel, (Confirmed(LifecycleState.SETTLED, False),)
    )
    approach = Approach(demo.access(), NOW)
    MemoryLine(approach, acceptor).exchange()
    assert Ready(LifecycleState.SETTLED, in_clear=False) in approach.events()


@pytest.mark.parametrize("state", [LifecycleState.RETIRED, LifecycleState.BLANK])
def test_a_terminal_without_identity_is_asked_for_its_proofs_in_the_clear(state: LifecycleState) -> None:
    acceptor = Acceptor(state, says=(Proof(ProofKind.ORDER, b"order"),))
    approach = Approach(clear_only(), NOW, serial=SERIAL)
    MemoryLine(approach, acceptor).exchange()
    assert acceptor.services == [Service.IDENTIFY, Service.PROOFS]
    assert same(approach.events()) == [
        met(state),
        Ready(state, in_clear=True),
        Answered(Proof(ProofKind.ORDER, b"order")),
    ]


def test_a_tampered_terminal_that_makes_no_channel_is_asked_in_the_clear(demo: Demo) -> None:
    acceptor = Acceptor(tampered=True)
    approach = Approach(demo.access(), NOW, serial=SERIAL)
    MemoryLine(approach, acceptor).run_for(10.0)
    assert acceptor.services == [Service.IDENTIFY, Service.CHANNEL, Service.SALVAGE]
    assert approach.events()[-1] == Ready(LifecycleState.ACTIVE, in_clear=True)


def test_a_tampered_terminal_whose_line_was_cut_may_still_have_a_channel_to_make(demo: Demo) -> None:
    """Seed 67 of four records: asked in the clear, it refused, and the job ended as if it had lied."""
    acceptor = Acceptor(channel=demo.terminal_channel, tampered=True, falls_silent=True)
    approach = Approach(demo.access(), NOW, serial=SERIAL)
    MemoryLine(approach, acceptor).run_for(60.0)
    assert acceptor.services == [Service.IDENTIFY, Service.CHANNEL]
    assert approach.events()[-1] == Over(LinkOver(CloseReason.TIMED_OUT))


def test_it_asks_a_real_terminal_and_hears_the_answer(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    approach = Approach(demo.access(), NOW)
    line = MemoryLine(approach, Front(terminal, demo.terminal_channel, NOW))
    line.exchange()
    approach.ask(GetInventory())
    line.exchange()
    answered = approach.events()[-1]
    assert isinstance(answered, Answered) and isinstance(answered.reply, Inventory)
    assert answered.reply.serial == SERIAL
    approach.close(line.now)
    line.run_for(5.0)
    assert approach.events() == [Over(LinkOver(CloseReason.CLOSED))]


# --- the wrong terminal --------------------------------------------------------------------------


@pytest.mark.parametrize("state", LifecycleState)
def test_another_serial_than_expected_is_a_stranger_and_is_asked_nothing(state: LifecycleState) -> None:
    acceptor = Acceptor(state, says=(Thawed(),))
    approach = Approach(clear_only(), NOW, serial="PD-000002")
    MemoryLine(approach, acceptor).run_for(10.0)
    assert same(approach.events()) == [met(state), Stranger(SERIAL)]
    assert acceptor.services == [Service.IDENTIFY]
    assert acceptor.told[-1] == Lost(LinkOver(CloseReason.PEER_CLOSED))
    assert not approach.is_ready
    with pytest.raises(LocalError, match="nothing may be asked"):
        approach.ask(GetProof(ProofKind.ORDER))


def test_a_terminal_that_greets_with_the_serial_of_another_is_found_out_by_its_certificate(
    demo: Demo,
) -> None:
    acceptor = Acceptor(
        channel=lambda: demo.terminal_channel(2), says=(Confirmed(LifecycleState.ACTIVE, False),)
    )
    approach = Approach(demo.access(), NOW, serial=SERIAL)
    MemoryLine(approach, acceptor).run_for(10.0)
    assert same(approach.events()) == [
        met(),
        Over(ChannelOver("channel: the peer is another terminal than expected")),
    ]


# --- the terminal's judgement of the technician ---------------------------------------------------


def test_a_channel_that_the_terminal_ends_before_it_confirms_is_told_as_its_refusal(demo: Demo) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel, ends=True)
    approach = Approach(demo.access(), NOW)
    MemoryLine(approach, acceptor).run_for(10.0)
    assert same(approach.events()) == [
        met(),
        Over(ChannelOver("the peer ended the channel before the terminal let this technician in")),
    ]


def test_a_terminal_that_keeps_the_line_alive_and_lets_nobody_in_is_over_once_in_time(demo: Demo) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel)
    approach = Approach(demo.access(), NOW)
    line = MemoryLine(approach, acceptor)
    line.run_for(LET_IN_S - 1.0)
    assert same(approach.events()) == [met()]
    line.run_for(1.5)
    assert approach.events() == [Over(ChannelOver("the terminal lets nobody in"))]
    line.run_for(LET_IN_S)
    assert approach.events() == []


def test_a_terminal_that_let_the_technician_in_has_as_long_as_it_likes(demo: Demo) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel, says=(Confirmed(LifecycleState.FROZEN, False),))
    approach = Approach(demo.access(), NOW)
    MemoryLine(approach, acceptor).run_for(LET_IN_S + 1.0)
    assert same(approach.events()) == [met(), Ready(LifecycleState.FROZEN, in_clear=False)]


def test_an_expired_technician_is_turned_away_by_a_real_terminal(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    approach = Approach(demo.access(), NOW + 2 * 86_400)
    front = Front(terminal, demo.terminal_channel, NOW + 2 * 86_400)
    MemoryLine(approach, front, NOW + 2 * 86_400).run_for(10.0)
    (_, over) = approach.events()
    assert isinstance(over, Over) and isinstance(over.cause, ChannelOver)
    assert over.cause.reason.endswith("before the terminal let this technician in")


def test_a_channel_that_ends_after_the_confirmation_is_told_as_it_is(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    front = Front(terminal, demo.terminal_channel, NOW)
    approach = Approach(demo.access(), NOW)
    line = MemoryLine(approach, front)
    line.exchange()
    front.stack.close(line.now)
    line.run_for(10.0)
    assert approach.events()[-1] == Over(ChannelOver("the peer ended the channel"))


def test_nothing_is_asked_before_the_confirmation(demo: Demo) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel)
    approach = Approach(demo.access(), NOW)
    MemoryLine(approach, acceptor).exchange()
    assert any(isinstance(event, Opened) and event.peer for event in acceptor.told)
    assert not approach.is_ready
    with pytest.raises(LocalError, match="nothing may be asked"):
        approach.ask(GetInventory())


# --- messages out of place, and ends -------------------------------------------------------------


@pytest.mark.parametrize(
    "says",
    [
        (Thawed(),),
        (GetInventory(),),
        (Confirmed(LifecycleState.ACTIVE, False), Confirmed(LifecycleState.ACTIVE, False)),
        (Confirmed(LifecycleState.ACTIVE, False), GetInventory()),
    ],
)
def test_a_message_out_of_place_ends_the_approach_once(demo: Demo, says: tuple[Message, ...]) -> None:
    acceptor = Acceptor(channel=demo.terminal_channel, says=(*says, Thawed(), Thawed()))
    approach = Approach(demo.access(), NOW)
    MemoryLine(approach, acceptor).run_for(20.0)
    events = approach.events()
    assert events[-1] == Over(ChannelOver("the terminal sent a message out of place"))
    assert sum(isinstance(event, Over) for event in events) == 1
    assert not any(isinstance(event, Answered) for event in events)
    assert acceptor.told[-1] == Lost(ChannelOver("the peer ended the channel"))


def test_a_confirmation_in_the_clear_is_out_of_place() -> None:
    acceptor = Acceptor(LifecycleState.RETIRED, says=(Confirmed(LifecycleState.ACTIVE, False),))
    approach = Approach(clear_only(), NOW)
    MemoryLine(approach, acceptor).run_for(20.0)
    assert approach.events()[-1] == Over(ChannelOver("the terminal sent a message out of place"))


def test_a_dead_line_is_over_once_without_an_answer() -> None:
    approach = Approach(clear_only(), NOW)
    line = MemoryLine(approach, Acceptor())
    line.is_cut = True
    line.run_for(60.0)
    assert approach.events() == [Over(LinkOver(CloseReason.NO_ANSWER))]


def test_a_line_that_dies_before_the_confirmation_is_over_once(demo: Demo) -> None:
    approach = Approach(demo.access(), NOW)
    acceptor = Acceptor(channel=demo.terminal_channel)
    line = MemoryLine(approach, acceptor)
    line.exchange()
    line.is_cut = True
    line.run_for(60.0)
    assert same(approach.events()) == [met(), Over(LinkOver(CloseReason.TIMED_OUT))]


def test_a_renewed_technician_is_let_in(demo: Demo) -> None:
    later = NOW + 2 * 86_400
    renew_technician(demo.directory, now=later)
    terminal, _ = demo.terminal()
    approach = Approach(demo.access(2), later)
    MemoryLine(approach, Front(terminal, demo.terminal_channel, later), later).exchange()
    assert approach.is_ready

"""Two stacks joined in memory, in the clear and by TLS: messages, and every way in which a session ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from memory_line import NOW, Demo, MemoryLine
from posdecom_protocol.certificates import Role
from posdecom_protocol.channel import Channel, ChannelEvent, Failed, TlsChannel, client_context
from posdecom_protocol.errors import LocalError
from posdecom_protocol.frames import Frame, FrameKind, encode_frame
from posdecom_protocol.greeting import Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.limits import MESSAGE_BYTES_MAX
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import CloseReason
from posdecom_protocol.messages import GetInventory, Items, Message, ReadItems, Sealed, Thawed, encode
from posdecom_protocol.stack import (
    Arrived,
    ChannelOver,
    Greeted,
    LinkOver,
    Lost,
    Opened,
    Stack,
    StackEvent,
)
from posdecom_simulator.authority import Authority, Subject, Validity, key_pem, new_key
from posdecom_simulator.provision import seeded

SERIAL = "PD-000001"
READ = ReadItems(1, 2)
ITEMS = Items(1, (b"a", b"b"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("site") / "demo")


def welcome(hello: Hello) -> Welcome:
    return Welcome(hello.connection_id, LifecycleState.ACTIVE, False, "Acme", "T1", SERIAL)


def agent(number: int, channel: Callable[[], Channel | None] = lambda: None, now: float = NOW) -> Stack:
    link = Link.initiator(Hello(number, Service.CHANNEL), now, line_rate_bytes_per_s=None)
    return Stack(link, lambda _: channel())


def terminal(channel: Callable[[], Channel | None] = lambda: None) -> Stack:
    return Stack(Link.acceptor(welcome, NOW, line_rate_bytes_per_s=None), lambda _: channel())


def agent_by_tls(demo: Demo, number: int = 1) -> Stack:
    return agent(number, lambda: demo.access().channel_to(SERIAL))


def lost(events: list[StackEvent]) -> list[LinkOver | ChannelOver]:
    return [event.cause for event in events if isinstance(event, Lost)]


def arrived(events: list[StackEvent]) -> list[Message]:
    return [event.message for event in events if isinstance(event, Arrived)]


def check_that_it_listens_on(acceptor: Stack, now: float) -> None:
    """The next connection carries messages both ways."""
    acceptor.events()
    next_one = agent(99, now=now)
    line = MemoryLine(next_one, acceptor, now)
    line.exchange()
    next_one.send(READ)
    acceptor.send(ITEMS)
    line.exchange()
    assert arrived(acceptor.events()) == [READ]
    assert arrived(next_one.events()) == [ITEMS]


# --- a session -----------------------------------------------------------------------------------


def test_in_the_clear_both_ends_are_greeted_open_and_exchange_messages() -> None:
    left, right = agent(7), terminal()
    line = MemoryLine(left, right)
    line.exchange()
    hello = Hello(7, Service.CHANNEL)
    assert left.events() == [Greeted(welcome(hello)), Opened(None)]
    assert right.events() == [Greeted(hello), Opened(None)]
    left.send(READ)
    left.send(GetInventory())
    right.send(ITEMS)
    line.exchange()
    assert right.events() == [Arrived(READ), Arrived(GetInventory())]
    assert left.events() == [Arrived(ITEMS)]
    assert left.is_drained and right.is_drained


def test_an_observer_is_told_each_message_and_who_said_it() -> None:
    left, right = agent(7), terminal()
    told: list[tuple[Message, bool]] = []
    left.observe = lambda message, own: told.append((message, own))
    line = MemoryLine(left, right)
    line.exchange()
    left.send(READ)
    line.exchange()
    right.send(ITEMS)
    line.exchange()
    assert told == [(READ, True), (ITEMS, False)]
    assert left.link.counters.frames_received >= 2


def test_by_tls_each_end_learns_who_the_other_is_and_nothing_is_readable_on_the_line(demo: Demo) -> None:
    left, right = agent_by_tls(demo), terminal(demo.terminal_channel)
    line = MemoryLine(left, right)
    line.exchange()
    (_, from_terminal), (_, from_agent) = left.events(), right.events()
    assert isinstance(from_terminal, Opened) and isinstance(from_agent, Opened)
    assert from_terminal.peer is not None and from_agent.peer is not None
    assert from_terminal.peer.serial_number == SERIAL
    assert from_agent.peer.role is Role.TECHNICIAN_CHANNEL
    secret = Items(1, (b"a word that must not be on the line",))
    left.send(READ)
    right.send(secret)
    line.exchange()
    assert arrived(right.events()) == [READ]
    assert arrived(left.events()) == [secret]
    assert not any(b"a word that" in data for _, data in line.carried)


def test_a_large_message_arrives_whole_over_many_windows(demo: Demo) -> None:
    left, right = agent_by_tls(demo), terminal(demo.terminal_channel)
    line = MemoryLine(left, right)
    line.exchange()
    largest = Sealed(bytes(range(256)) * 500)
    right.send(largest)
    assert not right.is_ready, "the link has no room for all of it"
    with pytest.raises(LocalError, match="not ready"):
        right.send(largest)
    line.run(lambda: right.is_drained)
    assert arrived(left.events()) == [largest]
    assert right.is_ready


def test_nothing_is_sent_before_the_session_is_open(demo: Demo) -> None:
    left, right = agent_by_tls(demo), terminal(demo.terminal_channel)
    for stack in (left, right):
        assert not stack.is_ready
        with pytest.raises(LocalError, match="not ready"):
            stack.send(READ)


def test_a_message_that_was_sent_has_a_deadline_at_once() -> None:
    left, right = agent(1), terminal()
    MemoryLine(left, right).exchange()
    left.send(READ)
    deadline = left.deadline()
    assert deadline is not None and deadline <= NOW


# --- its ends ------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_tls", [False, True])
def test_a_close_is_told_once_at_each_end_and_nothing_arrives_after_it(demo: Demo, by_tls: bool) -> None:
    left = agent_by_tls(demo) if by_tls else agent(1)
    right = terminal(demo.terminal_channel) if by_tls else terminal()
    line = MemoryLine(left, right)
    line.exchange()
    right.send(ITEMS)
    left.close(line.now)
    left.close(line.now)
    line.run_for(20.0)
    told = left.events()
    assert lost(told) == [LinkOver(CloseReason.CLOSED)]
    assert arrived(told) == []
    ended, closed = ChannelOver("the peer ended the channel"), LinkOver(CloseReason.PEER_CLOSED)
    assert lost(right.events()) == [ended if by_tls else closed]


def test_what_is_under_way_when_this_end_closes_does_not_arrive() -> None:
    left, right = agent(1), terminal()
    MemoryLine(left, right).exchange()
    right.send(ITEMS)
    under_way = right.bytes_to_send(NOW)
    left.close(NOW)
    left.receive(under_way, NOW)
    assert arrived(left.events()) == []


def test_what_was_sent_before_a_close_still_arrives() -> None:
    left, right = agent(1), terminal()
    line = MemoryLine(left, right)
    line.exchange()
    right.send(Sealed(bytes(100_000)))
    right.close(line.now)
    line.run_for(20.0)
    assert arrived(left.events()) == [Sealed(bytes(100_000))]


def test_a_close_while_nobody_answers_ends_the_wait() -> None:
    left = agent(1)
    left.tick(NOW)
    assert left.bytes_to_send(NOW)
    left.close(NOW)
    left.tick(NOW)
    assert left.events() == [Lost(LinkOver(CloseReason.CLOSED))]
    left.tick(NOW + 100)
    assert left.events() == []
    assert left.bytes_to_send(NOW + 100) == b""


def test_a_close_in_the_middle_of_the_handshake_is_told_once(demo: Demo) -> None:
    left, right = agent_by_tls(demo), terminal(demo.terminal_channel)
    line = MemoryLine(left, right)
    left.tick(NOW)
    right.receive(left.bytes_to_send(NOW), NOW)
    left.receive(right.bytes_to_send(NOW), NOW)
    left.close(NOW)
    line.run_for(20.0)
    assert lost(left.events()) == [LinkOver(CloseReason.CLOSED)]
    assert lost(right.events()) == [LinkOver(CloseReason.PEER_CLOSED)]


def test_silence_is_told_once_at_each_end_and_the_acceptor_listens_on() -> None:
    left, right = agent(1), terminal()
    line = MemoryLine(left, right)
    line.exchange()
    line.is_cut = True
    line.run_for(20.0)
    assert lost(left.events()) == lost(right.events()) == [LinkOver(CloseReason.TIMED_OUT)]
    check_that_it_listens_on(right, line.now)


def test_no_answer_is_told_once() -> None:
    left = agent(1)
    for now in range(NOW, NOW + 40):
        left.tick(now)
        left.bytes_to_send(now)
    assert left.events() == [Lost(LinkOver(CloseReason.NO_ANSWER))]


def test_a_new_connection_ends_the_old_one_once() -> None:
    left, right = agent(1), terminal()
    MemoryLine(left, right).exchange()
    right.events()
    second = agent(2)
    MemoryLine(second, right).exchange()
    assert right.events() == [
        Lost(LinkOver(CloseReason.SUPERSEDED)),
        Greeted(Hello(2, Service.CHANNEL)),
        Opened(None),
    ]
    assert second.is_ready


def test_what_the_old_connection_did_not_take_is_not_sent_on_the_new_one() -> None:
    left, right = agent(1), terminal()
    MemoryLine(left, right).exchange()
    right.send(Sealed(bytes(120_000)))
    assert not right.is_ready
    second = agent(2)
    line = MemoryLine(second, right)
    line.exchange()
    right.send(ITEMS)
    line.exchange()
    assert arrived(second.events()) == [ITEMS]


# --- the peer's faults ---------------------------------------------------------------------------

BAD_STREAMS = [
    (b"\xff\0\0\0", "message type 0xff is unknown"),
    (b"\x83" + (MESSAGE_BYTES_MAX + 1).to_bytes(3, "big"), "message announces 131073 bytes; at most 131072"),
    (bytes.fromhex("8100000201 02"), "Confirmed is malformed"),
    (b"\x16\x03\x01\x02", "message type 0x16 is unknown"),
]


@pytest.mark.parametrize(("data", "reason"), BAD_STREAMS)
def test_a_bad_message_in_the_clear_ends_the_session_and_not_the_link(data: bytes, reason: str) -> None:
    raw, right = Link.initiator(Hello(1, Service.PROOFS), NOW, line_rate_bytes_per_s=None), terminal()
    line = MemoryLine(raw, right)
    line.exchange()
    raw.send(encode(READ) + data + encode(READ))
    line.run_for(20.0)
    events = right.events()
    assert arrived(events) == [READ]
    assert lost(events) == [ChannelOver(reason)]
    check_that_it_listens_on(right, line.now)


@pytest.mark.parametrize(("data", "reason"), BAD_STREAMS)
def test_a_bad_message_in_the_channel_ends_the_session_and_not_the_link(
    demo: Demo, data: bytes, reason: str
) -> None:
    channels: list[TlsChannel] = []

    def kept() -> TlsChannel:
        channel = demo.access().channel_to(SERIAL)
        assert isinstance(channel, TlsChannel)
        channels.append(channel)
        return channel

    serve = iter([demo.terminal_channel(), None])
    left, right = agent(1, kept), terminal(lambda: next(serve))
    line = MemoryLine(left, right)
    line.exchange()
    channels[0].send(data)
    line.run_for(20.0)
    assert lost(right.events()) == [ChannelOver(reason)]
    assert lost(left.events()) == [ChannelOver("the peer ended the channel")]
    check_that_it_listens_on(right, line.now)


def test_a_technician_of_a_strange_authority_is_turned_away_and_the_next_one_served(
    demo: Demo,
) -> None:
    left = agent(1, lambda: _stranger(demo))
    serve = iter([demo.terminal_channel(), None])
    right = terminal(lambda: next(serve))
    line = MemoryLine(left, right)
    line.run_for(20.0)
    (cause,) = lost(right.events())
    assert isinstance(cause, ChannelOver) and cause.reason.startswith("TLS: ")
    assert len(lost(left.events())) == 1
    check_that_it_listens_on(right, line.now)


def _stranger(demo: Demo) -> TlsChannel:
    """A technician whom the terminal's anchors do not know, in a folder of its own."""
    roles = (Role.TECHNICIAN, Role.TECHNICIAN_CHANNEL)
    validity = Validity(NOW - 10, NOW + 10)
    authority = Authority.create("Demo Service", roles, validity, seeded(5))
    key = new_key(seeded(6))
    leaf = authority.issue(key.public_key(), Subject("Demo Technician"), roles, validity)
    folder = demo.directory / "stranger"
    folder.mkdir(exist_ok=True)
    (folder / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key_pem(key))
    context = client_context(str(folder / "chain.pem"), str(folder / "key.pem"), demo.anchors)
    return TlsChannel.client(context, demo.anchors, SERIAL)


class FailingChannel:
    """Fails at the first byte, twice, and has an alert to send."""

    def __init__(self) -> None:
        self._alert = b""
        self._events: list[ChannelEvent] = []

    def receive(self, data: bytes, now: float) -> None:
        self._alert = b"alert"
        self._events += [Failed("broken"), Failed("broken again")]

    def receive_end(self) -> None: ...
    def send(self, data: bytes) -> None: ...
    def close(self) -> None: ...

    def bytes_to_send(self) -> bytes:
        alert, self._alert = self._alert, b""
        return alert

    def events(self) -> list[ChannelEvent]:
        events, self._events = self._events, []
        return events


def test_a_channel_that_fails_is_told_once_and_its_alert_still_goes_out() -> None:
    raw = Link.initiator(Hello(1, Service.CHANNEL), NOW, line_rate_bytes_per_s=None)
    serve = iter([FailingChannel(), None])
    right = terminal(lambda: next(serve))
    line = MemoryLine(raw, right)
    line.exchange()
    raw.send(b"x")
    line.run_for(20.0)
    assert lost(right.events()) == [ChannelOver("broken")]
    assert any(b"alert" in data for name, data in line.carried if name == "left")
    check_that_it_listens_on(right, line.now)


def test_a_fault_of_the_old_connection_does_not_touch_the_new_one_that_came_with_it() -> None:
    raw, right = Link.initiator(Hello(1, Service.PROOFS), NOW, line_rate_bytes_per_s=None), terminal()
    MemoryLine(raw, right).exchange()
    right.events()
    raw.send(b"\xff\0\0\0")
    hello = Hello(2, Service.PROOFS)
    together = raw.bytes_to_send(NOW) + encode_frame(Frame(FrameKind.HELLO, 0, 0, hello.encode()), 0)
    right.receive(together, NOW)
    assert right.events() == [
        Lost(ChannelOver("message type 0xff is unknown")),
        Greeted(hello),
        Opened(None),
    ]
    assert right.is_ready
    right.send(Thawed())
    assert right.bytes_to_send(NOW).count(encode(Thawed())) == 1

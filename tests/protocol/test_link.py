"""Two links on a bad line in virtual time, and one link against bytes made by hand."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from link_end import LinkEnd
from posdecom_protocol.acknowledgement import Acknowledgement
from posdecom_protocol.errors import LocalError
from posdecom_protocol.frames import Frame, FrameDecoder, FrameKind, encode_frame
from posdecom_protocol.greeting import NO_COMMON_VERSION, Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import Closed, CloseReason, Connected, LinkState, Received
from posdecom_simulator.world.line import Noise, VirtualLine, Wire

Line = VirtualLine[LinkEnd, LinkEnd]

RATE = 11_520.0
"""115,200 baud, 8N1."""

HELLO = Hello(0x5EED0001, Service.CHANNEL)
CLEAN = Noise()


def welcome_for(hello: Hello) -> Welcome:
    return Welcome(
        hello.connection_id, LifecycleState.ACTIVE, False, "Acme", "T1", "0042", hello.common_version()
    )


def new_link(hello: Hello | None = HELLO, now: float = 0.0, rate: float | None = RATE) -> Link:
    """The initiator of ``hello``, or without one the acceptor."""
    if hello is None:
        return Link.acceptor(welcome_for, now, line_rate_bytes_per_s=rate)
    return Link.initiator(hello, now, line_rate_bytes_per_s=rate)


def new_line(
    faults: Noise = CLEAN,
    *,
    seed: int = 1,
    rate: float | None = RATE,
    cuts: list[tuple[float, float]] | None = None,
) -> Line:
    """Initiator on the left, acceptor on the right."""
    chance = random.Random(seed)
    wires = [Wire(rate, faults, chance, cuts=cuts or []) for _ in range(2)]
    return VirtualLine(LinkEnd(new_link(rate=rate)), LinkEnd(new_link(None, rate=rate)), wires[0], wires[1])


def connected_line(faults: Noise = CLEAN, *, seed: int = 1, rate: float | None = RATE) -> Line:
    line = new_line(faults, seed=seed, rate=rate)
    assert line.run_until(
        lambda: all(end.link.state is LinkState.OPEN for end in (line.left, line.right)), 20
    )
    return line


def closed(end: LinkEnd) -> list[CloseReason]:
    return [event.reason for event in end.events if isinstance(event, Closed)]


def wire(
    kind: FrameKind, body: bytes, *, number: int = 0, offset: int = 0, connection_id: int = 0x5EED0001
) -> bytes:
    return encode_frame(Frame(kind, number, offset, body), connection_id)


def frames_in(data: bytes, connection_id: int = 0x5EED0001) -> list[Frame]:
    decoder = FrameDecoder()
    decoder.connection_id = connection_id
    decoder.receive(data)
    return list(iter(decoder.next_frame, None))


def open_acceptor(hello: Hello = HELLO, rate: float | None = None) -> Link:
    link = new_link(None, rate=rate)
    link.receive(wire(FrameKind.HELLO, hello.encode()), 0.0)
    assert link.events() == [Connected(hello)]
    assert [frame.kind for frame in frames_in(link.bytes_to_send(0.0))] == [FrameKind.WELCOME]
    return link


# -- greeting ------------------------------------------------------------------------------------------------------


def test_each_end_learns_the_greeting_of_the_other() -> None:
    line = connected_line()
    line.run_for(0.1)
    assert line.left.events == [Connected(welcome_for(HELLO))]
    assert line.right.events == [Connected(HELLO)]


def test_hello_is_repeated_ever_more_slowly_until_nobody_answered_for_twenty_seconds() -> None:
    link, now, sent_at = new_link(), 0.0, []
    while link.state is LinkState.GREETING:
        link.tick(now)
        if link.bytes_to_send(now):
            sent_at.append(round(now, 2))
        deadline = link.deadline()
        now = now if deadline is None else deadline
    assert sent_at == [0.0, 0.3, 0.9, 2.1, 4.1, 6.1, 8.1, 10.1, 12.1, 14.1, 16.1, 18.1]
    assert now == 20.0
    assert link.events() == [Closed(CloseReason.NO_ANSWER)]


def test_repeated_hello_gets_the_same_welcome_and_leaves_the_connection_alone() -> None:
    asked = []

    def answer(hello: Hello) -> Welcome:
        asked.append(hello)
        return replace(welcome_for(hello), features=len(asked))

    link = Link.acceptor(answer, 0.0, line_rate_bytes_per_s=None)
    link.receive(wire(FrameKind.HELLO, HELLO.encode()), 0.0)
    first = link.bytes_to_send(0.0)
    link.receive(wire(FrameKind.DATA, b"abc"), 1.0)
    link.bytes_to_send(1.0)
    link.receive(wire(FrameKind.HELLO, HELLO.encode()), 1.5)
    assert link.bytes_to_send(1.5) == first
    assert link.events() == [Connected(HELLO), Received(b"abc")]
    assert asked == [HELLO]


def test_data_before_welcome_is_dropped() -> None:
    link = new_link()
    link.receive(wire(FrameKind.DATA, b"early"), 0.1)
    link.receive(wire(FrameKind.WELCOME, welcome_for(HELLO).encode()), 0.2)
    link.receive(wire(FrameKind.DATA, b"late"), 0.3)
    assert link.events() == [Connected(welcome_for(HELLO)), Received(b"late")]


def test_welcome_to_another_connection_is_ignored() -> None:
    link = new_link()
    link.receive(wire(FrameKind.WELCOME, welcome_for(replace(HELLO, connection_id=9)).encode()), 0.1)
    assert link.state is LinkState.GREETING
    assert link.events() == []


def test_without_a_common_version_both_ends_say_so_and_nothing_is_connected() -> None:
    hello = replace(HELLO, version_min=2, version_max=3)
    acceptor = new_link(None)
    acceptor.receive(wire(FrameKind.HELLO, hello.encode()), 0.0)
    answer = acceptor.bytes_to_send(0.0)
    assert Welcome.decode(frames_in(answer)[0].body).version == NO_COMMON_VERSION
    assert acceptor.state is LinkState.LISTENING
    initiator = new_link(hello)
    initiator.receive(answer, 0.1)
    assert initiator.events() == [Closed(CloseReason.NO_COMMON_VERSION)]


def test_new_hello_supersedes_and_an_old_one_that_comes_late_does_not() -> None:
    link = open_acceptor()
    link.receive(wire(FrameKind.DATA, b"old"), 0.1)
    newer = replace(HELLO, connection_id=2)
    link.receive(wire(FrameKind.HELLO, newer.encode()), 0.2)
    assert link.events() == [Received(b"old"), Closed(CloseReason.SUPERSEDED), Connected(newer)]
    link.receive(wire(FrameKind.HELLO, HELLO.encode()), 0.3)
    link.receive(wire(FrameKind.DATA, b"older", number=1, offset=3), 0.4)
    link.receive(wire(FrameKind.DATA, b"new", connection_id=2), 0.5)
    assert link.events() == [Received(b"new")]


def test_initiator_answers_no_hello_not_even_the_echo_of_its_own() -> None:
    link = new_link(rate=None)
    link.receive(wire(FrameKind.WELCOME, welcome_for(HELLO).encode()), 0.1)
    link.bytes_to_send(0.1)
    for hello in (HELLO, replace(HELLO, connection_id=9)):
        link.receive(wire(FrameKind.HELLO, hello.encode()), 0.2)
        assert link.bytes_to_send(0.2) == b""
    assert link.events() == [Connected(welcome_for(HELLO))]


def test_acceptor_is_patient_while_its_welcome_does_not_get_through() -> None:
    line = new_line()
    line.leftward.cuts.append((0.0, 15.0))
    line.run_for(18)
    assert line.left.link.state is LinkState.OPEN
    assert closed(line.right) == []


def test_chatter_of_a_modem_tool_before_the_greeting_does_no_harm() -> None:
    link = new_link(None)
    link.receive(b"AT\r\nATZ\r\n\x7e\x00\x78\xf0\x7e\xa7\xa7", 0.0)
    link.receive(wire(FrameKind.HELLO, HELLO.encode()), 0.01)
    assert link.events() == [Connected(HELLO)]


# -- the stream ----------------------------------------------------------------------------------------------------

BAD_LINES = {
    "clean": CLEAN,
    "flips 1e-5": Noise(flip=8e-5),
    "flips 1e-4": Noise(flip=8e-4),
    "drops": Noise(drop=1e-3),
    "duplicates and delays": Noise(duplicate=0.02, delay=0.01),
    "noise": Noise(garbage=0.1),
    "everything": Noise(flip=3e-4, drop=3e-4, duplicate=0.01, delay=0.005, garbage=0.02),
}


def transfer(line: Line, rightward: bytes, leftward: bytes, limit_s: float) -> None:
    line.left.to_say += rightward
    line.right.to_say += leftward
    ends = (line.left, line.right)
    line.run_until(lambda: [len(end.heard) for end in ends] == [len(leftward), len(rightward)], limit_s)
    assert line.right.heard == rightward
    assert line.left.heard == leftward


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("faults", BAD_LINES.values(), ids=BAD_LINES)
def test_everything_arrives_in_order_both_ways_at_once(faults: Noise, seed: int) -> None:
    data = random.Random(seed)
    transfer(new_line(faults, seed=seed), data.randbytes(12_000), data.randbytes(9_000), limit_s=60)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [240.0, 960.0, 92_160.0, 300_000.0, None])
def test_other_speeds_and_a_pipe_carry_it_too(rate: float | None, seed: int) -> None:
    data, faults = random.Random(seed), Noise(flip=1e-4, drop=1e-4, garbage=0.005)
    transfer(
        new_line(faults, seed=seed, rate=rate), data.randbytes(8_000), data.randbytes(20_000), limit_s=120
    )


@pytest.mark.parametrize("seed", range(4))
def test_cuts_shorter_than_the_patience_are_bridged(seed: int) -> None:
    cuts = [(0.0, 0.5), (1.0, 2.0), (2.5, 2.6), (3.0, 8.0)]
    data = random.Random(seed).randbytes(30_000)
    transfer(new_line(cuts=cuts, seed=seed), data, data[::-1], limit_s=60)


def test_equal_seeds_give_equal_traces() -> None:
    lines = [new_line(BAD_LINES["everything"], seed=seed) for seed in (5, 5, 6)]
    for line in lines:
        line.left.to_say += bytes(5000)
        line.run_for(5)
    first, again, other = (line.trace.hexdigest() for line in lines)
    assert first == again != other


@pytest.mark.parametrize(
    ("faults", "least"),
    [(CLEAN, 0.98), (Noise(flip=8e-5), 0.95), (Noise(flip=8e-4), 0.89), (Noise(drop=1e-3), 0.74)],
)
def test_share_of_the_line_that_carries_payload_stays_what_was_measured(faults: Noise, least: float) -> None:
    line = connected_line(faults)
    data, start = random.Random(1).randbytes(128 * 1024), line.now
    transfer(line, b"", data, limit_s=60)
    assert len(data) / RATE / (line.now - start) >= least


def test_frames_of_an_older_connection_that_come_late_change_nothing() -> None:
    older = connected_line()
    leftovers: list[bytes] = []
    older.left.to_say += b"old " * 3000
    for _ in range(300):
        leftovers.append(older.left.turn(older.now))
        older.step()
    chance = random.Random(1)
    line = VirtualLine(
        LinkEnd(new_link(replace(HELLO, connection_id=77))),
        LinkEnd(new_link(None)),
        Wire(RATE, CLEAN, chance),
        Wire(RATE, CLEAN, chance),
    )
    line.run_until(lambda: line.right.link.state is LinkState.OPEN, 5)
    line.left.to_say += (data := chance.randbytes(20_000))
    while len(line.right.heard) < len(data):
        line.step()
        stale = [frame for frame in frames_in(chance.choice(leftovers)) if frame.kind is not FrameKind.HELLO]
        for frame in stale:
            line.right.link.receive(
                wire(frame.kind, frame.body, number=frame.number, offset=frame.offset), line.now
            )
    assert line.right.heard == data
    assert closed(line.right) == []


def test_counters_tell_what_the_line_did_over_all_connections() -> None:
    line = connected_line(Noise(flip=8e-4))
    line.left.to_say += bytes(20_000)
    line.run_until(lambda: len(line.right.heard) == 20_000, 60)
    line.left.link.close(line.now)
    line.run_for(10)
    source, target = line.left.link.counters, line.right.link.counters
    assert source.frames_sent > source.frames_resent > 0
    assert target.frames_bad > 0
    assert source.frames_sent / 2 < target.frames_received < source.frames_sent + 30


def test_lost_tail_is_sent_again_within_a_second() -> None:
    line = connected_line()
    line.run_for(1)
    cut_at = line.now
    line.rightward.cuts.append((cut_at, cut_at + 0.05))
    line.left.to_say += bytes(400)
    assert line.run_until(lambda: len(line.right.heard) == 400, 1.0)
    assert line.left.link.counters.probes == 1


def test_false_header_in_front_of_the_last_frame_delays_it_by_the_quiet_time_only() -> None:
    link = open_acceptor()
    false_header = wire(FrameKind.DATA, bytes(4000))[:8]
    link.receive(false_header + wire(FrameKind.DATA, b"abc"), 1.0)
    assert link.events() == []
    assert link.deadline() == pytest.approx(1.1)
    link.tick(1.1)
    assert link.events() == [Received(b"abc")]
    assert [frame.kind for frame in frames_in(link.bytes_to_send(1.1))] == [FrameKind.ACK]


# -- acknowledgements and windows ----------------------------------------------------------------------------------


def acknowledgements(data: bytes) -> list[Acknowledgement]:
    return [Acknowledgement.decode(frame.body) for frame in frames_in(data) if frame.kind is FrameKind.ACK]


def test_frame_is_acknowledged_at_once_when_the_line_falls_quiet_and_every_second_one_otherwise() -> None:
    link = open_acceptor()
    one, two, three = (wire(FrameKind.DATA, b"abc", number=n, offset=3 * n) for n in range(3))
    link.receive(one, 1.0)
    assert acknowledgements(link.bytes_to_send(1.0)) == [Acknowledgement(3, 32765, 0)]
    link.events()
    link.receive(two + three[:5], 1.1)
    assert acknowledgements(link.bytes_to_send(1.1)) == []
    link.receive(three[5:] + one[:1], 1.2)
    assert acknowledgements(link.bytes_to_send(1.2)) == [Acknowledgement(9, 32762, 2)]


def test_gap_is_acknowledged_at_once() -> None:
    link = open_acceptor()
    link.receive(wire(FrameKind.DATA, b"def", number=1, offset=3) + b"\xa7", 1.0)
    assert acknowledgements(link.bytes_to_send(1.0)) == [Acknowledgement(0, 32768, 1, 0b1)]


def test_reader_that_does_not_read_stops_the_sender_at_its_window_and_starts_it_again() -> None:
    line = connected_line(rate=None)
    reader = line.right.link
    line.left.to_say += bytes(60_000)
    heard = bytearray()
    for _ in range(200):
        reader.receive(line.left.turn(line.now), line.now)
        line.left.link.receive(reader.bytes_to_send(line.now), line.now)
        assert reader._open_connection().receiver.held_bytes <= HELLO.receive_window_bytes
        line.now += 0.001
    for _ in range(200):
        heard += b"".join(event.data for event in reader.events() if isinstance(event, Received))
        line.left.link.receive(reader.bytes_to_send(line.now), line.now)
        reader.receive(line.left.turn(line.now), line.now)
        line.now += 0.001
    assert heard == bytes(60_000)


def test_small_window_and_small_frames_of_the_peer_are_respected() -> None:
    modest = replace(HELLO, frame_body_bytes_max=200, receive_window_bytes=500)
    link = open_acceptor(modest)
    link.send(bytes(5000))
    frames = frames_in(link.bytes_to_send(0.1))
    assert [len(frame.body) for frame in frames] == [200, 200]


def test_what_is_handed_out_is_never_more_than_two_frames_ahead_of_the_line() -> None:
    line = connected_line()
    line.right.to_say += bytes(300_000)
    ahead_s = 0.0
    while len(line.left.heard) < 300_000:
        line.step()
        ahead_s = max(ahead_s, line.leftward.free_at - line.now)
    assert ahead_s * RATE <= 2 * (4095 + 12)


def test_room_of_the_port_is_respected_but_for_the_rest_of_one_frame() -> None:
    link = open_acceptor()
    link.send(bytes(30_000))
    assert link.bytes_to_send(0.1, room_bytes=0) == b""
    assert [len(frame.body) for frame in frames_in(link.bytes_to_send(0.1, room_bytes=600))] == [512, 512]


def test_send_beyond_the_room_or_without_a_connection_is_our_own_mistake() -> None:
    link = open_acceptor()
    link.send(bytes(link.room()))
    assert link.room() == 0
    with pytest.raises(LocalError, match="room for 0 while open"):
        link.send(b"x")
    with pytest.raises(LocalError, match="room for 0 while listening"):
        new_link(None).send(b"x")


def test_welcome_for_another_connection_is_our_own_mistake() -> None:
    link = Link.acceptor(
        lambda hello: replace(welcome_for(hello), connection_id=1), 0.0, line_rate_bytes_per_s=None
    )
    with pytest.raises(LocalError, match="another connection id"):
        link.receive(wire(FrameKind.HELLO, HELLO.encode()), 0.0)


# -- silence and end -----------------------------------------------------------------------------------------------


def test_idle_connection_lives_for_an_hour_on_few_bytes_and_few_turns() -> None:
    line = connected_line()
    line.run_for(3600)
    assert line.left.link.state is line.right.link.state is LinkState.OPEN
    assert line.leftward.carried_bytes < 3600 / 2 * 24
    assert line.turns < 4 * 3600


def test_dead_peer_is_found_after_twelve_seconds_by_both_ends() -> None:
    line = connected_line()
    line.run_for(5)
    for wire_ in (line.rightward, line.leftward):
        wire_.cuts.append((line.now, 1e9))
    line.left.to_say += bytes(1000)
    line.run_for(10)
    assert closed(line.left) == closed(line.right) == []
    line.run_for(2.1)
    assert closed(line.left) == closed(line.right) == [CloseReason.TIMED_OUT]
    assert line.right.link.state is LinkState.LISTENING


def test_close_waits_for_what_was_sent_and_both_ends_know() -> None:
    line = connected_line(Noise(flip=3e-4))
    line.right.link.send(data := bytes(range(256)) * 40)
    line.right.link.close(line.now)
    assert line.right.link.room() == 0
    assert line.run_until(lambda: bool(closed(line.left) and closed(line.right)), 10)
    assert line.left.heard == data
    assert closed(line.left) == [CloseReason.PEER_CLOSED]
    assert closed(line.right) == [CloseReason.CLOSED]
    assert line.left.link.deadline() is None


@pytest.mark.parametrize("initiator_closes", [True, False])
@pytest.mark.parametrize("request_is_lost", [True, False])
def test_lost_close_and_lost_confirmation_are_repeated(request_is_lost: bool, initiator_closes: bool) -> None:
    line = connected_line()
    cut_wire = line.rightward if request_is_lost is initiator_closes else line.leftward
    cut_wire.cuts.append((line.now, line.now + 2.0))
    closer, peer = (line.left, line.right) if initiator_closes else (line.right, line.left)
    closer.link.close(line.now)
    line.run_for(5)
    assert closed(closer) == [CloseReason.CLOSED]
    assert closed(peer) == [CloseReason.PEER_CLOSED]


def test_both_may_close_at_once() -> None:
    line = connected_line()
    line.left.link.close(line.now)
    line.right.link.close(line.now)
    line.run_for(5)
    assert closed(line.left) == closed(line.right) == [CloseReason.CLOSED]


def test_a_confirmation_that_nobody_asked_for_closes_nothing() -> None:
    link = open_acceptor()
    link.receive(wire(FrameKind.CLOSE, b"\x01"), 1.0)
    assert (link.state, link.events(), link.counters.frames_bad) == (LinkState.OPEN, [], 0)


@pytest.mark.parametrize("body", [b"", b"\x02", b"\xff", b"\x00\x00"])
def test_a_close_that_says_neither_request_nor_confirmation_is_a_bad_frame(body: bytes) -> None:
    link = open_acceptor()
    link.receive(wire(FrameKind.CLOSE, body), 1.0)
    assert (link.state, link.events(), link.counters.frames_bad) == (LinkState.OPEN, [], 1)


def test_what_was_received_is_not_shown() -> None:
    assert repr(Received(b"a card number")) == "Received(13 bytes)"


def test_close_without_an_answer_ends_after_ten_seconds() -> None:
    line = connected_line()
    line.rightward.cuts.append((line.now, 1e9))
    line.left.link.close(line.now)
    line.run_for(10.1)
    assert closed(line.left) == [CloseReason.UNCONFIRMED]


def test_close_while_greeting_ends_at_once() -> None:
    link = new_link()
    link.close(0.1)
    assert link.events() == [Closed(CloseReason.CLOSED)]


def test_acceptor_takes_one_connection_after_the_other() -> None:
    line = connected_line()
    for connection_id in range(2, 30):
        line.left.link.close(line.now)
        assert line.run_until(lambda: line.right.link.state is LinkState.LISTENING, 5)
        line.left.link = new_link(replace(HELLO, connection_id=connection_id), line.now)
        line.left.heard.clear()
        assert line.run_until(lambda: line.left.link.state is LinkState.OPEN, 5)
        line.right.link.send(b"hello again")
        assert line.run_until(lambda: line.left.heard == b"hello again", 5)
    assert set(closed(line.right)) == {CloseReason.PEER_CLOSED}


# -- hostile bytes -------------------------------------------------------------------------------------------------


def test_endless_garbage_takes_no_memory_and_no_turn_for_ever() -> None:
    link, chance = open_acceptor(), random.Random(1)
    false_header = wire(FrameKind.DATA, bytes(4095))[:8]
    for second in range(60):
        link.receive(chance.randbytes(5000) + false_header * 200 + b"\xa7" * 500, float(second))
        link.tick(second + 0.2)
        assert not link._decoder.is_waiting
        link.bytes_to_send(second + 0.2)
    assert [event for event in link.events() if not isinstance(event, Closed)] == []
    link.receive(wire(FrameKind.HELLO, replace(HELLO, connection_id=3).encode()), 60.0)
    assert link.state is LinkState.OPEN


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(FrameKind),
            st.integers(0, 65535),
            st.integers(0, 65535),
            st.binary(max_size=40),
            st.booleans(),
        ),
        max_size=25,
    ),
    st.booleans(),
)
def test_no_frame_of_a_peer_gone_mad_raises_or_spins(
    frames: list[tuple[FrameKind, int, int, bytes, bool]], listening: bool
) -> None:
    link = open_acceptor() if listening else new_link()
    now = 0.0
    for kind, number, offset, body, small in frames:
        if link.room():
            link.send(b"something")
        number, offset = (number % 8, offset % 8) if small else (number, offset)
        link.receive(wire(kind, body, number=number, offset=offset), now)
        for _ in range(20):
            link.tick(now)
            link.events()
            link.bytes_to_send(now)
            deadline = link.deadline()
            if deadline is None or deadline > now:
                break
        else:
            pytest.fail("the deadline stays in the past")
        now += 0.3


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 32768), st.integers(0, 65535), st.binary(max_size=16))
def test_acknowledgement_of_what_was_never_sent_leaves_the_stream_whole(
    next_offset: int, window: int, highest: int, bitmap: bytes
) -> None:
    line = connected_line()
    line.left.link.send(data := bytes(range(250)) * 8)
    body = next_offset.to_bytes(4, "big") + window.to_bytes(2, "big") + highest.to_bytes(2, "big") + bitmap
    line.left.link.receive(wire(FrameKind.ACK, body), line.now)
    line.run_for(5)
    assert line.right.heard == data

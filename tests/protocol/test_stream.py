"""The two halves of a stream and the acknowledgement between them, without frames on a line."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_protocol.acknowledgement import Acknowledgement
from posdecom_protocol.errors import FrameError, LocalError
from posdecom_protocol.frame_size import FrameSize
from posdecom_protocol.frames import Frame, FrameKind
from posdecom_protocol.stream_receiver import StreamReceiver
from posdecom_protocol.stream_sender import SEND_BUFFER_BYTES_MAX, StreamSender


def data_frame(number: int, offset: int, body: bytes) -> Frame:
    return Frame(FrameKind.DATA, number & 0xFFFF, offset & 0xFFFF, body)


def sender(window_bytes: int = 32768, frame_body_bytes_max: int = 128) -> StreamSender:
    return StreamSender(frame_body_bytes_max, window_bytes, None)


def drain(source: StreamSender, now: float = 0.0) -> list[Frame]:
    frames = []
    while source.may_send:
        frames.append(source.next_frame(now))
    return frames


# -- acknowledgement -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acknowledgement", "wire"),
    [
        (Acknowledgement(0, 32768, 65535), "00000000 8000 ffff"),
        (Acknowledgement(0xFFFFFFFF, 0, 0), "ffffffff 0000 0000"),
        (Acknowledgement(1, 2, 3, 0b1), "00000001 0002 0003 01"),
        (Acknowledgement(1, 2, 300, 1 << 127), "00000001 0002 012c" + "00" * 15 + "80"),
        (Acknowledgement(1, 2, 300, 1 << 8 | 1 << 7), "00000001 0002 012c 8001"),
    ],
)
def test_acknowledgement_is_these_bytes_both_ways(acknowledgement: Acknowledgement, wire: str) -> None:
    assert acknowledgement.encode() == bytes.fromhex(wire)
    assert Acknowledgement.decode(bytes.fromhex(wire)) == acknowledgement


@pytest.mark.parametrize("wire", ["", "00" * 7, "00000000 8001 0000", "00000000 0000 0000 00", "01" * 25])
def test_acknowledgement_in_any_other_shape_is_refused(wire: str) -> None:
    with pytest.raises(FrameError):
        Acknowledgement.decode(bytes.fromhex(wire))


# -- receiver ------------------------------------------------------------------------------------------------------


def test_what_comes_out_of_order_is_put_in_order() -> None:
    receiver = StreamReceiver(1000)
    assert receiver.accept(data_frame(1, 3, b"def")) is True
    assert receiver.acknowledgement() == Acknowledgement(0, 1000, 1, 0b1)
    assert receiver.take() == b""
    assert receiver.accept(data_frame(2, 0, b"abc")) is False
    assert receiver.acknowledgement() == Acknowledgement(6, 994, 2, 0b10)
    assert receiver.take() == b"abcdef"
    assert receiver.acknowledgement() == Acknowledgement(6, 1000, 2, 0b10)


def test_number_seen_before_changes_nothing_even_with_another_body() -> None:
    receiver = StreamReceiver(1000)
    receiver.accept(data_frame(0, 0, b"abc"))
    before = receiver.acknowledgement()
    assert receiver.accept(data_frame(0, 3, b"xyz")) is True
    assert receiver.acknowledgement() == before
    assert receiver.take() == b"abc"


def test_number_older_than_the_map_or_far_ahead_changes_nothing() -> None:
    receiver = StreamReceiver(1000)
    receiver.accept(data_frame(1, 0, b"a"))
    receiver.accept(data_frame(200, 1, b"b"))
    before = receiver.acknowledgement()
    for number in (200 - 129, 200 + 1025, 200 + 30000, 200 - 30000):
        receiver.accept(data_frame(number, 2, b"x"))
        assert receiver.acknowledgement() == before
    receiver.accept(data_frame(200 - 128, 2, b"c"))
    assert receiver.take() == b"abc"


def test_body_beyond_the_window_is_dropped_and_its_number_stays_missing() -> None:
    receiver = StreamReceiver(128)
    receiver.accept(data_frame(0, 0, bytes(100)))
    assert receiver.accept(data_frame(1, 100, bytes(29))) is True
    assert receiver.acknowledgement() == Acknowledgement(100, 28, 0)
    receiver.take()
    receiver.accept(data_frame(2, 100, bytes(29)))
    assert receiver.acknowledgement() == Acknowledgement(129, 99, 2, 0b1)


def test_window_opens_when_half_of_it_was_taken() -> None:
    receiver = StreamReceiver(200)
    receiver.accept(data_frame(0, 0, bytes(150)))
    receiver.acknowledgement()
    assert not receiver.window_opened
    receiver.take()
    assert receiver.window_opened
    receiver.acknowledgement()
    assert not receiver.window_opened


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60), st.booleans()), max_size=60))
def test_any_cuts_in_any_order_give_the_stream_and_never_hold_more_than_the_window(
    cuts: list[tuple[int, int, bool]],
) -> None:
    stream = random.Random(1).randbytes(400)
    receiver, taken = StreamReceiver(256), b""
    for number, (start, length, take) in enumerate(cuts):
        receiver.accept(data_frame(number, start, stream[start : start + length]))
        assert receiver.held_bytes <= 256
        if take:
            taken += receiver.take()
    taken += receiver.take()
    assert taken == stream[: len(taken)]
    assert receiver.acknowledgement().next_offset == len(taken)


def test_slivers_with_holes_do_not_pile_up() -> None:
    receiver = StreamReceiver(32768)
    for number in range(1000):
        receiver.accept(data_frame(number, 1 + 2 * number, b"x"))
    assert receiver.held_bytes == 256


# -- sender --------------------------------------------------------------------------------------------------------


def test_number_missing_below_an_acknowledged_one_is_sent_again_under_a_new_number() -> None:
    source = sender()
    source.queue(bytes(range(256)) + b"x" * 128)
    assert [frame.number for frame in drain(source)] == [0, 1, 2]
    source.acknowledged(Acknowledgement(128, 32768, 2, 0b1), 0.1)
    again = drain(source)
    assert again == [data_frame(3, 128, bytes(range(128, 256)))]
    source.acknowledged(Acknowledgement(384, 32768, 3, 0b10), 0.2)
    assert source.is_idle
    assert source.probe_at is None
    assert source.resent == 1


def test_late_acknowledgement_marks_nothing_as_lost() -> None:
    source = sender()
    source.queue(bytes(512))
    drain(source)
    source.acknowledged(Acknowledgement(384, 32768, 2), 0.1)
    source.acknowledged(Acknowledgement(128, 100, 1, 0b1), 0.2)
    assert drain(source) == []


def test_late_acknowledgement_does_not_move_the_edge_of_the_window_back() -> None:
    source = sender(window_bytes=1000)
    source.queue(bytes(2000))
    assert len(drain(source)) == 7
    source.acknowledged(Acknowledgement(896, 1000, 6), 0.1)
    source.acknowledged(Acknowledgement(128, 0, 0), 0.2)
    assert len(drain(source)) == 7


def test_sender_whose_every_open_number_was_overtaken_goes_on() -> None:
    """All arrived, all acknowledgements but the last offset were lost, and probes used up numbers meanwhile."""
    source = sender()
    source.queue(bytes(60_000))
    drain(source)
    for second in range(40):
        source.probe(float(second))
        drain(source, float(second))
    source.acknowledged(Acknowledgement(128 * 128, 32768, 65535), 40.0)
    for second in range(41, 400):
        if source.probe_at is None:
            break
        source.probe(float(second))
    assert source.probe_at is None
    assert len(drain(source, 400.0)) == 128


def test_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    source = sender()
    source.queue(bytes(128))
    drain(source)
    for nonsense in (
        Acknowledgement(129, 32768, 0),
        Acknowledgement(0, 32768, 1),
        Acknowledgement(0, 32768, 4000),
    ):
        with pytest.raises(FrameError):
            source.acknowledged(nonsense, 0.1)
    assert not source.is_idle


def test_at_most_128_numbers_are_open() -> None:
    source = sender()
    source.queue(bytes(30000))
    assert len(drain(source)) == 128


def test_in_flight_is_a_quarter_second_of_line_and_four_frames() -> None:
    source = StreamSender(4095, 32768, 9600.0)
    source.queue(bytes(30_000))
    bound = 9600 / 4 + 4 * (512 + 12)
    in_flight = sum(len(frame.body) + 12 for frame in drain(source))
    assert bound <= in_flight < bound + 512 + 12


def test_every_acknowledgement_that_settles_something_restarts_the_wait() -> None:
    source = sender()
    source.queue(bytes(256))
    drain(source)
    source.acknowledged(Acknowledgement(128, 32640, 0), 10.0)
    assert source.probe_at is not None
    assert source.probe_at > 10.0 + 0.15


def test_new_bytes_stay_within_the_window_of_the_peer_and_go_in_full_frames() -> None:
    source = sender(window_bytes=300)
    source.queue(bytes(1000))
    assert [len(frame.body) for frame in drain(source)] == [128, 128]
    source.acknowledged(Acknowledgement(256, 172, 1), 0.1)
    assert [len(frame.body) for frame in drain(source)] == [128]


def test_probe_is_the_oldest_frame_in_a_small_piece_above_the_window() -> None:
    source = StreamSender(4095, 32768, 960.0)
    source.queue(bytes(10000))
    first = drain(source)
    assert len(first[0].body) == 512
    source.probe(5.0)
    again = source.next_frame(5.0)
    assert (again.number, again.offset, len(again.body)) == (len(first), 0, 128)


def test_what_arrived_after_all_is_cut_off_from_what_is_sent_again() -> None:
    """Frame 0 counts as lost when the probe goes, comes late all the same, and overlaps what was cut anew."""
    source, data = StreamSender(512, 32768, None), random.Random(1).randbytes(1024)
    source.queue(data)
    drain(source)
    source.probe(5.0)
    assert source.next_frame(5.0) == data_frame(2, 0, data[:128])
    source.acknowledged(Acknowledgement(128, 32768, 2, 0b11), 5.1)
    straddling = source.next_frame(5.1)
    assert straddling.offset == 128
    assert 128 + len(straddling.body) > 300
    source.next_frame(5.1)
    source.acknowledged(Acknowledgement(300, 32768, 4, 0b1111), 5.2)
    again = source.next_frame(5.2)
    assert again == data_frame(5, 300, data[300 : 300 + len(again.body)])
    assert again.body


def test_what_arrived_after_all_is_not_sent_again() -> None:
    source, data = StreamSender(512, 32768, None), bytes(512)
    source.queue(data)
    drain(source)
    source.probe(5.0)
    source.next_frame(5.0)
    source.acknowledged(Acknowledgement(512, 32768, 0), 5.1)
    assert source.is_idle
    assert not source.may_send


def test_probes_come_ever_later_but_at_least_every_second() -> None:
    source = sender()
    source.queue(b"x")
    now, waits = 0.0, []
    for _ in range(8):
        drain(source, now)
        assert source.probe_at is not None
        waits.append(source.probe_at - now)
        now = source.probe_at
        source.probe(now)
    assert waits == pytest.approx([0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    drain(source, now)
    source.acknowledged(Acknowledgement(1, 32768, 8), now)
    source.queue(b"y")
    drain(source, now)
    assert source.probe_at is not None
    assert source.probe_at - now < 0.75


def test_queue_takes_so_much_and_no_more() -> None:
    source = sender()
    source.queue(bytes(SEND_BUFFER_BYTES_MAX))
    assert source.room_bytes == 0
    with pytest.raises(LocalError, match="room for 0"):
        source.queue(b"x")


# -- both ----------------------------------------------------------------------------------------------------------


def carry(source: StreamSender, receiver: StreamReceiver, data: bytes, loss: float, seed: int) -> bytes:
    """Everything through both halves; the line loses frames and acknowledgements, and a probe helps out."""
    chance = random.Random(seed).random
    sent, heard, now = 0, bytearray(), 0.0
    while len(heard) < len(data):
        now += 1.0
        piece = data[sent : sent + source.room_bytes]
        source.queue(piece)
        sent += len(piece)
        for frame in drain(source, now):
            if chance() >= loss:
                receiver.accept(frame)
        heard += receiver.take()
        if chance() >= loss:
            source.acknowledged(receiver.acknowledgement(), now)
        if source.probe_at is not None and not source.may_send:
            source.probe(now)
    return bytes(heard)


def test_numbers_and_offsets_wrap_at_sixteen_bits() -> None:
    data = random.Random(2).randbytes(60_000 * 128)
    source = sender()
    assert carry(source, StreamReceiver(32768), data, loss=0.2, seed=3) == data
    assert source._next_number > 1 << 16


def test_acknowledgements_settle_numbers_beyond_sixteen_bits() -> None:
    source, receiver = sender(), StreamReceiver(32768)
    source._next_number = (1 << 16) - 300
    source._highest_settled = receiver._highest = source._next_number - 1
    while source._next_number < (1 << 16) + 300:
        source.queue(bytes(100 * 128))
        for frame in drain(source):
            receiver.accept(frame)
        receiver.take()
        source.acknowledged(receiver.acknowledgement(), 0.0)
        assert source.probe_at is None  # nothing is under way any more


def test_offsets_wrap_at_thirty_two_bits() -> None:
    """Four gigabytes are too many for a test: both halves are set back to shortly before the wrap."""
    start = 2**32 - 50_000
    source, receiver = sender(frame_body_bytes_max=1000), StreamReceiver(32768)
    source._base = source._next_new = receiver._next_offset = start
    source._edge = receiver._edge = start + 32768
    data = random.Random(4).randbytes(200_000)
    assert carry(source, receiver, data, loss=0.2, seed=5) == data


# -- frame size ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bytes_per_loss", "low", "high"), [(1e9, 4095, 4095), (12_500, 300, 480), (1250, 128, 128)]
)
def test_frame_size_settles_near_the_best_for_the_loss_rate(
    bytes_per_loss: float, low: int, high: int
) -> None:
    """Ideal sizes for bit errors 0, 1e-5 and 1e-4: 4095, 384 and 120."""
    size, chance = FrameSize(128, 4095), random.Random(1).random
    seen = []
    for _ in range(3000):
        line_bytes = size.value + 12
        size.settled(line_bytes, chance() < line_bytes / bytes_per_loss)
        seen.append(size.value)
    assert low <= sorted(seen[1000:])[1000] <= high

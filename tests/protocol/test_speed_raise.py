"""Raising the speed between two links on a virtual line that garbles whatever its ends do not both expect."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

import pytest

from link_end import LinkEnd
from posdecom_protocol.errors import FrameError
from posdecom_protocol.frames import Frame, FrameKind, encode_frame
from posdecom_protocol.greeting import Feature, Hello, Service, Welcome
from posdecom_protocol.lifecycle import LifecycleState
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import Closed, CloseReason, LinkState
from posdecom_protocol.speed_raise import (
    FALL_BACK_S,
    LADDER,
    LINGER_S,
    TEST_BODY,
    TESTS_GOOD,
    SpeedRaise,
    Speeds,
    Step,
)
from posdecom_simulator.world.line import SILENCE, Noise, VirtualLine, Wire

FIRST = 115_200
HELLO = Hello(0x5EED0001, Service.CHANNEL)


class PortEnd(LinkEnd):
    """A link behind a port, whose speed it sets before it says anything."""

    before_saying: Callable[[], None] = staticmethod(lambda: None)

    def turn(self, now: float) -> bytes:
        data = super().turn(now)
        self.before_saying()
        return data


def welcome_for(hello: Hello, features: Feature = Feature.SPEED) -> Welcome:
    return Welcome(hello.connection_id, LifecycleState.ACTIVE, False, "Acme", "T1", "0042", features=features)


def initiator(most: int, *, now: float = 0.0, hello: Hello = HELLO) -> PortEnd:
    return PortEnd(Link.initiator(hello, now, line_rate_bytes_per_s=None, speeds=Speeds(FIRST, most)))


def acceptor(most: int | None, features: Feature = Feature.SPEED) -> PortEnd:
    speeds = None if most is None else Speeds(FIRST, most)
    rate = FIRST / 10 if most is None else None
    return PortEnd(
        Link.acceptor(
            lambda hello: welcome_for(hello, features), 0.0, line_rate_bytes_per_s=rate, speeds=speeds
        )
    )


class Cable:
    """A line whose ends have the speeds that their links ask for."""

    def __init__(
        self, left: PortEnd, right: PortEnd, *, most: int = 10**7, noise: Noise = SILENCE, seed: int = 1
    ) -> None:
        chance = random.Random(seed)
        wires = [Wire(FIRST / 10, noise, chance, latency_timer_s=0.016) for _ in range(2)]
        self.line = VirtualLine(left, right, wires[0], wires[1])
        left.before_saying = right.before_saying = self._set_speeds
        self.most = most
        self.changes: list[tuple[int, int]] = []

    @property
    def speeds(self) -> tuple[int, int]:
        return self.line.left.link.baud or FIRST, self.line.right.link.baud or FIRST

    def run(self, done: Callable[[], bool], limit_s: float = 60.0) -> bool:
        return self.line.run_until(done, limit_s)

    def _set_speeds(self) -> None:
        left, right = self.speeds
        if self.changes[-1:] != [(left, right)]:
            self.changes.append((left, right))
        for wire, baud in ((self.line.rightward, left), (self.line.leftward, right)):
            wire.rate_bytes_per_s = baud / 10
            wire.garbles = left != right or baud > self.most

    def carries(self, count: int = 20_000) -> bool:
        """Whether a stream still arrives, both ways."""
        left, right = self.line.left, self.line.right
        said = random.Random(5).randbytes(count)
        for end in (left, right):
            end.to_say += said
            end.heard.clear()
        return self.run(lambda: bytes(left.heard) == said and bytes(right.heard) == said)


def is_open(cable: Cable) -> bool:
    return all(end.link.state is LinkState.OPEN for end in (cable.line.left, cable.line.right))


def raised(cable: Cable, limit_s: float = 10.0) -> tuple[int, int]:
    """The speeds once a stream has gone through: nothing else is sent before the raise is over."""
    assert cable.run(lambda: is_open(cable))
    assert cable.carries()
    return cable.speeds


@pytest.mark.parametrize(
    ("left", "right", "cable", "expected"),
    [
        (3_000_000, 3_000_000, 10**7, 3_000_000),
        (921_600, 3_000_000, 10**7, 921_600),
        (3_000_000, 460_800, 10**7, 460_800),
        (1_000_000, 1_000_000, 10**7, 921_600),
        (3_000_000, 3_000_000, 1_000_000, 921_600),
        (3_000_000, 3_000_000, FIRST, FIRST),
        (FIRST, 3_000_000, 10**7, FIRST),
        (3_000_000, FIRST, 10**7, FIRST),
    ],
)
def test_the_line_gets_as_fast_as_both_ends_and_the_cable_are(
    left: int, right: int, cable: int, expected: int
) -> None:
    joined = Cable(initiator(left), acceptor(right), most=cable)
    assert raised(joined) == (expected, expected)


def test_every_step_of_the_ladder_is_taken_and_all_of_them_take_a_second() -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000))
    assert cable.run(lambda: cable.speeds == (3_000_000, 3_000_000), 1.5)
    assert [left for left, right in cable.changes if left == right] == [FIRST, *LADDER]


def test_a_step_that_fails_costs_two_seconds() -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000), most=FIRST)
    assert cable.run(lambda: is_open(cable))
    began = cable.line.now
    cable.line.left.to_say += b"x"
    assert cable.run(lambda: bytes(cable.line.right.heard) == b"x")
    assert cable.line.now - began < 2.5


@pytest.mark.parametrize(
    ("hello", "most", "features"),
    [
        (Hello(7, Service.IDENTIFY), 3_000_000, Feature.SPEED),
        (HELLO, 3_000_000, Feature.PACKED_ITEMS),
        (HELLO, None, Feature.SPEED),
    ],
)
def test_nothing_is_raised_for_a_greeting_nor_by_who_cannot(
    hello: Hello, most: int | None, features: Feature
) -> None:
    cable = Cable(initiator(3_000_000, hello=hello), acceptor(most, features))
    assert raised(cable) == (FIRST, FIRST)


@pytest.mark.parametrize("noise", [Noise(flip=8e-5), Noise(flip=8e-4), Noise(drop=1e-3)])
@pytest.mark.parametrize(
    "seed", [1, 2, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 20))]
)
def test_whatever_is_lost_of_it_both_ends_agree_in_the_end(noise: Noise, seed: int) -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000), noise=noise, seed=seed)
    left, right = raised(cable, 30.0)
    assert left == right
    assert [
        one.reason
        for end in (cable.line.left, cable.line.right)
        for one in end.events
        if isinstance(one, Closed)
    ] == []


@pytest.mark.parametrize(
    "cut_at",
    [pytest.param(at / 100, marks=[pytest.mark.long] if at % 20 else []) for at in range(10, 120, 2)],
)
def test_a_line_that_is_cut_in_the_middle_of_it_is_the_same_again_afterwards(cut_at: float) -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000))
    for wire in (cable.line.rightward, cable.line.leftward):
        wire.cuts.append((cut_at, cut_at + 2.0))
    left, right = raised(cable, 30.0)
    assert left == right


def test_an_agent_that_dies_leaves_the_terminal_fast_and_the_next_one_finds_it() -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000))
    assert raised(cable) == (3_000_000, 3_000_000)
    died_at = cable.line.now
    cable.line.left = initiator(3_000_000, now=died_at, hello=Hello(8, Service.CHANNEL))
    cable.line.left.before_saying = cable.line.right.before_saying
    cable.line.right.events.clear()
    assert cable.run(lambda: cable.line.left.link.state is LinkState.OPEN)
    assert cable.line.now - died_at < FALL_BACK_S + 2.5
    assert raised(cable) == (3_000_000, 3_000_000)


def test_after_a_connection_the_terminal_is_back_at_the_first_speed() -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000))
    raised(cable)
    cable.line.left.link.close(cable.line.now)
    assert cable.run(lambda: any(isinstance(one, Closed) for one in cable.line.left.events))
    assert cable.line.left.events[-1] == Closed(CloseReason.CLOSED)
    ended_at = cable.line.now
    assert cable.run(lambda: cable.speeds[1] == FIRST)
    assert cable.line.now - ended_at < LINGER_S + 0.1


def test_a_line_that_is_silent_for_long_goes_on_at_the_first_speed() -> None:
    cable = Cable(initiator(3_000_000), acceptor(3_000_000))
    raised(cable)
    for wire in (cable.line.rightward, cable.line.leftward):
        wire.cuts.append((cable.line.now, cable.line.now + 5.0))
    assert cable.carries()
    assert cable.speeds == (FIRST, FIRST)


@pytest.mark.parametrize(("good", "kept"), [(TESTS_GOOD - 1, FIRST), (TESTS_GOOD, LADDER[0])])
def test_a_speed_is_kept_only_if_enough_of_its_test_frames_come_back(good: int, kept: int) -> None:
    speed = SpeedRaise(Speeds(FIRST, LADDER[0]))
    speed.begin(0.0)
    speed.tick(0.0)
    speed.received(FrameKind.SPEED, struct.pack(">BI", Step.ACCEPT, LADDER[0]), 0.1)
    speed.tick(0.2)
    assert speed.baud == LADDER[0]
    while speed.next_frame(HELLO.connection_id, 0.2) is not None:
        pass
    for number in range(good):
        speed.received(FrameKind.TEST, bytes([number]) + TEST_BODY[1:], 0.3)
    assert speed.due_at is not None
    speed.tick(speed.due_at)
    assert speed.baud == kept


def said_by(one: SpeedRaise, now: float = 0.0) -> list[bytes]:
    return list(iter(lambda: one.next_frame(1, now), None))


def speed_frame(step: Step, baud: int) -> bytes:
    return encode_frame(Frame(FrameKind.SPEED, 0, 0, struct.pack(">BI", step, baud)), 1)


def under_test(*, is_initiator: bool) -> SpeedRaise:
    """One that has changed over to the first step of the ladder and waits for what comes."""
    one = SpeedRaise(Speeds(FIRST, LADDER[0]))
    if is_initiator:
        one.begin(0.0)
        one.tick(0.0)
    answer = Step.ACCEPT if is_initiator else Step.PROPOSE
    one.received(FrameKind.SPEED, struct.pack(">BI", answer, LADDER[0]), 0.1)
    said_by(one, 0.1)
    assert one.due_at is not None
    one.tick(one.due_at)
    assert one.baud == LADDER[0]
    return one


def test_an_initiator_that_is_refused_rests_at_the_speed_that_it_has() -> None:
    one = SpeedRaise(Speeds(FIRST, 3_000_000))
    one.begin(0.0)
    one.tick(0.0)
    assert said_by(one) == [speed_frame(Step.PROPOSE, LADDER[0])]
    one.received(FrameKind.SPEED, struct.pack(">BI", Step.REFUSE, LADDER[0]), 0.1)
    one.tick(10.0)
    assert (one.is_busy, one.baud, one.due_at, said_by(one)) == (False, FIRST, None, [])


@pytest.mark.parametrize("body", [b"", b"\x01", bytes(4), bytes(6)])
def test_a_speed_frame_of_another_length_is_a_bad_frame(body: bytes) -> None:
    with pytest.raises(FrameError, match="SPEED is malformed"):
        SpeedRaise(Speeds(FIRST, LADDER[0])).received(FrameKind.SPEED, body, 0.0)


@pytest.mark.parametrize("body", [b"", TEST_BODY[:-1], TEST_BODY + b"\0", TEST_BODY[:-1] + b"\0"])
@pytest.mark.parametrize("is_initiator", [True, False])
def test_a_test_frame_without_the_pattern_is_a_bad_frame_and_no_good_test(
    body: bytes, is_initiator: bool
) -> None:
    one = under_test(is_initiator=is_initiator)
    said_by(one)
    with pytest.raises(FrameError, match="TEST is not the pattern"):
        one.received(FrameKind.TEST, body, 0.3)
    assert said_by(one) == []


def test_a_test_frame_has_no_place_but_at_a_speed_that_is_tried() -> None:
    one = SpeedRaise(Speeds(FIRST, LADDER[0]))
    one.received(FrameKind.TEST, TEST_BODY, 0.0)
    assert (one.is_busy, one.baud, said_by(one)) == (False, FIRST, [])


@pytest.mark.parametrize(
    ("step", "baud"),
    [
        (Step.ACCEPT, LADDER[0]),
        (Step.REFUSE, LADDER[0]),
        (Step.KEPT, FIRST),
        (Step.KEEP, LADDER[0]),
        (0, 0),
        (9, FIRST),
    ],
)
def test_an_answer_that_nobody_waits_for_changes_nothing(step: int, baud: int) -> None:
    one = SpeedRaise(Speeds(FIRST, LADDER[0]))
    one.received(FrameKind.SPEED, struct.pack(">BI", step, baud), 0.0)
    assert (one.is_busy, one.baud, one.due_at, said_by(one)) == (False, FIRST, None, [])


@pytest.mark.parametrize(
    ("frame", "body"),
    [(FrameKind.TEST, TEST_BODY), (FrameKind.SPEED, struct.pack(">BI", Step.PROPOSE, LADDER[0]))],
)
def test_who_has_no_speeds_hears_nothing_of_it(frame: FrameKind, body: bytes) -> None:
    one = SpeedRaise(None)
    one.received(frame, body, 0.0)
    assert (one.is_busy, said_by(one)) == (False, [])


@pytest.mark.parametrize("baud", [115_201, 2_999_999, FIRST, 4_000_000])
def test_a_speed_that_is_no_step_of_the_ladder_is_refused_whoever_proposes_it(baud: int) -> None:
    one = SpeedRaise(Speeds(FIRST, 3_000_000))
    one.received(FrameKind.SPEED, struct.pack(">BI", Step.PROPOSE, baud), 0.0)
    said = one.next_frame(1, 0.0)
    assert said == encode_frame(Frame(FrameKind.SPEED, 0, 0, struct.pack(">BI", Step.REFUSE, baud)), 1)
    assert (one.is_busy, one.baud) == (False, FIRST)

"""Driving a machine over a port: everything written once and in order, no spinning, and an end that is bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from memory_line import NOW, Demo
from posdecom_agent.line import GOODBYE_S, PENDING_BYTES_MAX, WAIT_S_MAX, WRITE_PAUSE_S, WallClock, drive
from posdecom_agent.look import Look
from posdecom_agent.port_access import LinkLost
from posdecom_protocol.greeting import Hello, Service
from posdecom_protocol.link import Link
from posdecom_protocol.link_events import LinkState
from posdecom_protocol.stack import Stack
from posdecom_simulator.terminal.front import Front

TURN_S = 0.0001
"""What a read takes that waits for nothing."""


@dataclass
class Clock:
    """Time passes where somebody waits, and nowhere else."""

    time: float = float(NOW)

    def now(self) -> float:
        return self.time


@dataclass
class Port:
    """Takes ``room`` bytes a write; a read waits its whole time out unless ``incoming`` has something."""

    clock: Clock
    room: Callable[[], int] = lambda: 1 << 20
    incoming: list[bytes] = field(default_factory=list)
    written: bytearray = field(default_factory=bytearray)
    waits: list[float] = field(default_factory=list)
    lost_after_reads: int | None = None

    def read(self, timeout_s: float) -> bytes:
        assert timeout_s >= 0
        if len(self.waits) == self.lost_after_reads:
            raise LinkLost("the port", "unplugged")
        self.waits.append(timeout_s)
        if self.incoming:
            return self.incoming.pop(0)
        self.clock.time += max(timeout_s, TURN_S)
        return b""

    def write(self, data: bytes) -> int:
        taken = min(self.room(), len(data))
        self.written += data[:taken]
        return taken

    def set_speed(self, baud: int) -> None:
        raise AssertionError("nobody changes the speed here")

    def fileno(self) -> int | None:
        return None

    def close(self) -> None:
        raise AssertionError("whoever opened the port closes it")


def open_stack() -> Stack:
    """One whose greeting nobody answers."""
    hello = Hello(1, Service.IDENTIFY)
    return Stack(Link.initiator(hello, NOW, line_rate_bytes_per_s=None), lambda _: None)


@dataclass
class Machine:
    """Says ``says`` as there is room, wants to be woken at ``due``, and is over when ``over`` says so."""

    says: bytearray = field(default_factory=bytearray)
    due: float | None = None
    over: Callable[[], bool] = lambda: False
    heard: bytearray = field(default_factory=bytearray)
    ticks: list[float] = field(default_factory=list)
    rooms: list[int | None] = field(default_factory=list)
    stack: Stack = field(default_factory=open_stack)

    def receive(self, data: bytes, now: float) -> None:
        self.heard += data

    def tick(self, now: float) -> None:
        self.ticks.append(now)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        self.rooms.append(room_bytes)
        data = bytes(self.says[:room_bytes])
        del self.says[:room_bytes]
        return data

    def deadline(self) -> float | None:
        return self.due

    @property
    def is_over(self) -> bool:
        return self.over()


def test_what_a_port_takes_in_pieces_arrives_whole_and_in_order() -> None:
    data = bytes(range(256)) * 200
    clock = Clock()
    rooms = iter([3, 0, 1, 0, 0, 500] * 10_000)
    port = Port(clock, lambda: next(rooms))
    machine = Machine(bytearray(data), over=lambda: port.written == data)
    drive(machine, port, clock)
    assert port.written == data
    assert all(room is not None and 0 < room <= PENDING_BYTES_MAX for room in machine.rooms)


def test_a_port_that_takes_nothing_is_tried_every_two_milliseconds_and_no_more_is_asked_of_the_link() -> None:
    clock = Clock()
    port = Port(clock, lambda: 0)
    machine = Machine(bytearray(100_000), over=lambda: clock.time >= NOW + 1.0)
    drive(machine, port, clock)
    driven = [wait for wait in port.waits if wait]
    assert set(driven) == {WRITE_PAUSE_S}
    assert len(driven) <= (1.0 + GOODBYE_S) / WRITE_PAUSE_S + 2
    assert machine.rooms == [PENDING_BYTES_MAX], "or the link would count bytes as sent that nobody took"


def test_a_machine_with_nothing_to_do_costs_one_read_a_second() -> None:
    clock = Clock()
    port = Port(clock)
    drive(Machine(over=lambda: clock.time >= NOW + 60), port, clock)
    assert len(port.waits) <= 60 / WAIT_S_MAX + GOODBYE_S / WAIT_S_MAX + 1


def test_it_sleeps_until_the_deadline_and_ticks_then() -> None:
    clock = Clock()
    port = Port(clock)
    machine = Machine(due=NOW + 0.25)
    machine.over = lambda: bool(machine.ticks)
    drive(machine, port, clock)
    assert port.waits[0] == 0.25
    assert machine.ticks[0] == NOW + 0.25


def test_a_deadline_in_the_past_is_no_negative_wait() -> None:
    clock = Clock()
    port = Port(clock)
    machine = Machine(due=NOW - 5.0)
    machine.over = lambda: bool(machine.ticks)
    drive(machine, port, clock)
    assert port.waits[0] == 0.0


def test_what_comes_is_handed_over_before_the_tick_and_watched() -> None:
    clock = Clock()
    port = Port(clock, incoming=[b"ab", b"c"])
    machine = Machine()
    machine.over = lambda: machine.heard == b"abc"
    seen: list[bytes] = []
    drive(machine, port, clock, lambda: seen.append(bytes(machine.heard)))
    assert seen == [b"ab", b"abc"]


def test_the_goodbye_is_bounded_where_nobody_confirms_it() -> None:
    clock = Clock()
    machine = Machine(over=lambda: True)
    assert machine.stack.link.state is not LinkState.CLOSED
    port = Port(clock)
    drive(machine, port, clock)
    assert clock.time == NOW + GOODBYE_S
    assert len(port.waits) == 1


def test_a_closed_link_needs_no_goodbye() -> None:
    clock = Clock()
    machine = Machine(over=lambda: True)
    machine.stack.close(NOW)
    assert machine.stack.link.state is LinkState.CLOSED
    port = Port(clock)
    drive(machine, port, clock)
    assert (clock.time, port.waits) == (NOW, [])


def test_a_lost_port_is_told() -> None:
    clock = Clock()
    with pytest.raises(LinkLost):
        drive(Machine(), Port(clock, lost_after_reads=3), clock)


def test_a_port_that_is_lost_in_the_goodbye_takes_nothing_away() -> None:
    clock = Clock()
    drive(Machine(over=lambda: True), Port(clock, lost_after_reads=0), clock)


def test_a_whole_look_over_a_port_says_goodbye(tmp_path_factory: pytest.TempPathFactory) -> None:
    demo = Demo(tmp_path_factory.mktemp("site") / "demo")
    front = Front(demo.terminal()[0], demo.terminal_channel, NOW)
    clock = Clock()

    class Cable(Port):
        def read(self, timeout_s: float) -> bytes:
            self.waits.append(timeout_s)
            front.receive(bytes(self.written), clock.time)
            self.written.clear()
            front.tick(clock.time)
            data = front.bytes_to_send(clock.time)
            if not data:
                clock.time += max(timeout_s, 0.001)
            return data

    look = Look(demo.access(), NOW)
    drive(look, port := Cable(clock), clock)
    assert look.inventory is not None
    assert look.stack.link.state is LinkState.CLOSED
    assert len(port.waits) < 200


def test_the_wall_clock_starts_at_the_time_and_never_runs_backwards() -> None:
    clock = WallClock()
    times = [clock.now() for _ in range(1000)]
    assert times == sorted(times)
    assert times[0] > 1_700_000_000

"""``posdecom-sim line`` and its model: pace, packets, damage, and what happens when the ends differ in speed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import termios
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import serial
from click.testing import CliRunner

from posdecom_simulator.cable import SENDER_BYTES, Cable, Direction, Socket
from posdecom_simulator.commands.line import command
from posdecom_simulator.world.line import SILENCE, Noise, Wire

RATE = 11_520.0
HUNDRED = bytes(range(100))


def wire(noise: Noise = SILENCE, rate: float = RATE, seed: int = 1, timer_s: float = 0.0) -> Wire:
    return Wire(rate, noise, random.Random(seed), latency_s=0.0, latency_timer_s=timer_s)


def carried(one: Wire, data: bytes) -> bytes:
    return b"".join(packet for _, packet in one.carry(data, 0.0))


# --- the wire


def test_each_byte_takes_ten_bits_of_the_senders_speed() -> None:
    arrivals = wire().carry(HUNDRED, 5.0)
    assert [packet for _, packet in arrivals] == [HUNDRED[:62], HUNDRED[62:]]
    assert [at for at, _ in arrivals] == pytest.approx([5 + 62 / RATE, 5 + 100 / RATE])


def test_a_latency_timer_holds_the_last_packet_back_until_it_fills_up_or_runs_out() -> None:
    one = wire(timer_s=0.016)
    assert [len(packet) for _, packet in one.carry(HUNDRED, 0.0)] == [62]
    assert one.due_at == pytest.approx(63 / RATE + 0.016)
    assert [len(packet) for _, packet in one.carry(HUNDRED[:30], 0.01)] == [62]
    assert [len(packet) for _, packet in one.due(1.0)] == [6]
    assert one.due_at is None


def test_on_a_slow_line_the_latency_timer_cuts_packets_short() -> None:
    assert [len(packet) for _, packet in wire(rate=960.0, timer_s=0.016).carry(HUNDRED, 0.0)] == [15] * 6


def test_bursts_damage_whole_runs_of_bytes() -> None:
    one = wire(Noise(burst=1e-3, burst_bytes=50))
    arrived = carried(one, bytes(20_000))
    damaged = sum(map(bool, arrived))
    assert len(arrived) == 20_000
    assert 35 * one.fired["burst"] <= damaged <= 50 * one.fired["burst"]


def test_flips_strike_each_byte_with_the_chance_asked_for_wherever_it_stands_in_a_packet() -> None:
    one = wire(Noise(flip=0.05))
    flipped = [position for position, byte in enumerate(carried(one, bytes(62 * 2000))) if byte]
    assert one.fired["flip"] == len(flipped)
    places = Counter(position % 62 for position in flipped)
    assert all(60 <= places[place] <= 140 for place in range(62))  # 100 expected; four standard deviations


def test_a_chance_of_one_drops_every_byte() -> None:
    one = wire(Noise(drop=1.0))
    assert carried(one, HUNDRED) == b""
    assert one.fired["drop"] == 100


def test_a_garbling_line_delivers_as_many_bytes_of_no_meaning() -> None:
    one = wire()
    one.garbles = True
    arrived = carried(one, bytes(4096))
    assert len(arrived) == 4096
    assert arrived.count(0) < 100


def test_what_waits_for_the_latency_timer_is_lost_with_the_plug() -> None:
    one = wire(timer_s=0.016)
    one.carry(HUNDRED[:10], 0.0)
    one.lose()
    assert one.due(9.0) == []


# --- the cable


@pytest.fixture
def sockets() -> Iterator[tuple[Socket, Socket]]:
    both = Socket(115_200), Socket(115_200)
    yield both
    for socket in both:
        socket.close()


def drain(socket: Socket) -> bytes:
    try:
        return os.read(socket.fileno(), 65_536)
    except BlockingIOError:
        return b""


def joined(sockets: tuple[Socket, Socket], baud_max: int | None = None) -> Direction:
    for socket in sockets:
        os.set_blocking(socket.fileno(), False)
    return Direction(*sockets, wire(), baud_max)


def set_speed(socket: Socket, baud: int) -> None:
    with serial.Serial(socket.device, baud):
        pass


def test_bytes_arrive_when_the_last_one_of_their_packet_has_left(sockets: tuple[Socket, Socket]) -> None:
    direction = joined(sockets)
    os.write(sockets[0].fileno(), HUNDRED)
    direction.turn(0.0)
    assert drain(sockets[1]) == b""
    direction.turn(62 / RATE)
    assert drain(sockets[1]) == HUNDRED[:62]
    direction.turn(100 / RATE)
    assert drain(sockets[1]) == HUNDRED[62:]


@pytest.mark.parametrize("baud", [9_600, 250_000, 921_600, 3_000_000])
def test_a_program_sets_the_speed_of_the_line_by_that_of_its_pseudo_terminal(
    sockets: tuple[Socket, Socket], baud: int
) -> None:
    direction = joined(sockets)
    for socket in sockets:
        set_speed(socket, baud)
    os.write(sockets[0].fileno(), HUNDRED)
    direction.turn(0.0)
    assert direction.wire.free_at == pytest.approx(1000 / baud)
    direction.turn(1.0)
    assert drain(sockets[1]) == HUNDRED


@pytest.mark.parametrize(
    ("left", "right", "baud_max"),
    [(921_600, 115_200, None), (115_200, 921_600, None), (921_600, 921_600, 460_800)],
)
def test_ends_that_differ_in_speed_and_cables_that_are_too_bad_garble(
    sockets: tuple[Socket, Socket], left: int, right: int, baud_max: int | None
) -> None:
    direction = joined(sockets, baud_max)
    set_speed(sockets[0], left)
    set_speed(sockets[1], right)
    os.write(sockets[0].fileno(), HUNDRED)
    direction.turn(0.0)
    direction.turn(1.0)
    arrived = drain(sockets[1])
    assert len(arrived) == 100
    assert arrived != HUNDRED


def test_a_sender_is_held_back_once_his_driver_is_full(sockets: tuple[Socket, Socket]) -> None:
    direction = joined(sockets)
    os.write(sockets[0].fileno(), bytes(4000))
    direction.turn(0.0)
    assert direction.room_bytes(0.0) == pytest.approx(SENDER_BYTES - 4000, abs=1)
    assert direction.room_bytes(2000 / RATE) == pytest.approx(SENDER_BYTES - 2000, abs=1)


def test_what_the_receiver_does_not_read_is_lost_and_counted(sockets: tuple[Socket, Socket]) -> None:
    direction = joined(sockets)
    taken = 0
    for second in range(200):
        os.write(sockets[0].fileno(), bytes(2000))
        direction.turn(float(second))
    while data := drain(sockets[1]):
        taken += len(data)
    assert direction.overrun_bytes > 0
    assert taken + direction.overrun_bytes == pytest.approx(400_000, abs=2000)


def test_outages_count_from_the_first_byte(sockets: tuple[Socket, Socket]) -> None:
    left, right = sockets
    cut = replace(wire(), cuts=[(0.0, 0.5)])
    cable = Cable(joined(sockets), Direction(right, left, wire()))
    cable.rightward.wire = cut
    os.write(left.fileno(), b"lost")
    times = iter(range(1000, 1100))
    turns = iter([False, True])
    cable.run(lambda: next(turns), lambda: float(next(times)))
    assert cut.cuts[0][0] >= 1000
    assert cut.fired["stall"] == 1


# --- the command


def test_a_program_on_each_side_talks_to_the_other(tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    says = f"{sys.executable} -c \"import os; os.write(1, b'tell'); print(os.read(0, 9))\""
    hears = f"{sys.executable} -c \"import os; open({str(heard)!r}, 'wb').write(os.read(0, 4)); os.write(1, b'told')\""
    done = subprocess.run(
        [sys.executable, "-m", "posdecom_simulator", "line", "--left-run", says, "--right-run", hears],
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert heard.read_bytes() == b"tell"
    assert b"right to left: 4 bytes" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--left", "a"], "--right, --right-run"),
        (["--left", "a", "--left-run", "b"], "--left, --left-run"),
        (["--left", "a", "--right", "b", "--outage", "3:2"], "no length"),
        (["--left", "a", "--right", "b", "--outage", "3"], "FROM:TO"),
        (["--left", "a", "--right", "b", "--burst", "0.1"], "P:BYTES"),
        (["--left", "a", "--right", "b", "--burst", "2:1"], "no chance"),
    ],
)
def test_a_command_line_that_means_nothing_is_refused(arguments: list[str], complaint: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 2
    assert complaint in result.output


def test_a_pseudo_terminal_is_raw(sockets: tuple[Socket, Socket]) -> None:
    flags = termios.tcgetattr(sockets[0].fileno())
    assert not flags[3] & (termios.ECHO | termios.ICANON)

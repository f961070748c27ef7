"""From the freeze on no clock decides who may talk to the terminal: that is bound by the challenge, not by time."""

from __future__ import annotations

import pytest

from memory_line import NOW, Demo, MemoryLine
from posdecom_agent.look import Look
from posdecom_protocol.messages import Inventory, OfferOrder, Sealed
from posdecom_simulator.terminal.front import Front
from posdecom_simulator.terminal.terminal import Terminal

YEAR_S = 365 * 86_400.0


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("site") / "demo")


class WrongClock:
    """A front whose terminal's clock is off by so much; each connection asks by what to judge."""

    def __init__(self, demo: Demo, terminal: Terminal, offset_s: float) -> None:
        self._offset_s = offset_s
        self._front = Front(
            terminal,
            lambda: demo.terminal_channel(floor_at=terminal.dates_floor(NOW + offset_s)),
            NOW + offset_s,
        )

    def receive(self, data: bytes, now: float) -> None:
        self._front.receive(data, now + self._offset_s)

    def tick(self, now: float) -> None:
        self._front.tick(now + self._offset_s)

    def bytes_to_send(self, now: float, room_bytes: int | None = None) -> bytes:
        return self._front.bytes_to_send(now + self._offset_s, room_bytes)

    def deadline(self) -> float | None:
        own = self._front.deadline()
        return None if own is None else own - self._offset_s


def looked(demo: Demo, terminal: Terminal, offset_s: float) -> Look:
    look = Look(demo.access(), NOW)
    MemoryLine(look, WrongClock(demo, terminal, offset_s)).run(lambda: look.is_over)
    return look


def freeze(demo: Demo, terminal: Terminal) -> None:
    (reply,) = terminal.answer(OfferOrder(NOW, demo.order()), NOW)
    assert isinstance(reply, Sealed)


@pytest.mark.parametrize(
    "offset_s", [20 * YEAR_S, -20 * YEAR_S, 2 * 86_400.0], ids=["ahead", "behind", "two days"]
)
def test_a_clock_that_jumps_after_the_freeze_locks_no_technician_out(demo: Demo, offset_s: float) -> None:
    terminal, _ = demo.terminal()
    freeze(demo, terminal)
    assert isinstance(looked(demo, terminal, offset_s).reply, Inventory)


def test_before_the_freeze_the_clock_judges_the_technician(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    look = looked(demo, terminal, 20 * YEAR_S)
    assert look.reply is None
    assert look.cause is not None


def test_after_the_freeze_a_certificate_has_to_outlast_order_and_last_record(demo: Demo) -> None:
    terminal, _ = demo.terminal()
    assert terminal.dates_floor(NOW) is None
    before_last_record = terminal.life.last_record_at - 1.0
    assert terminal.dates_floor(before_last_record) == terminal.life.last_record_at
    freeze(demo, terminal)
    for clock in (0.0, NOW, NOW + 20 * YEAR_S):
        assert terminal.dates_floor(clock) == NOW - 60  # the order's not_before; the last sale was earlier

"""A terminal as a process: what a peer that takes no byte can hold up, and what it can not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from posdecom_simulator.terminal.front import RESTART_S
from posdecom_simulator.terminal.serve import _answer


@dataclass
class Deaf:
    """A face whose peer has stopped reading."""

    name: str = "nowhere"
    baud: int | None = None

    def read(self, timeout_s: float) -> bytes:
        return b""

    def write(self, data: bytes) -> int:
        return 0

    def set_speed(self, baud: int) -> None:
        raise AssertionError("it has none")

    def close(self) -> None:
        pass


@dataclass
class Ending:
    """A front whose terminal must restart: its last reply has its time to arrive, and no more."""

    restart_by: float
    unsent: bytearray = field(default_factory=lambda: bytearray(b"the last reply"))

    def bytes_to_send(self, now: float, room_bytes: int) -> bytes:
        sent = bytes(self.unsent[:room_bytes])
        del self.unsent[:room_bytes]
        return sent

    def receive(self, data: bytes, now: float) -> None:
        pass

    def tick(self, now: float) -> None:
        pass

    def deadline(self) -> float | None:
        return self.restart_by

    def is_restart_due(self, now: float) -> bool:
        return now >= self.restart_by


def test_a_peer_that_takes_no_byte_does_not_hold_up_an_erase_that_is_intended() -> None:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += RESTART_S / 100
        assert now < 2 * RESTART_S, "the terminal still waits for its peer"
        return now

    front: Any = Ending(restart_by=RESTART_S)
    _answer(front, Deaf(), clock)
    assert now >= RESTART_S

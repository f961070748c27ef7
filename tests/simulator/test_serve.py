"""A terminal as a process: what a peer that takes no byte can hold up, and what it can not."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import pytest

from posdecom_protocol.errors import LocalError
from posdecom_simulator.terminal.front import RESTART_S
from posdecom_simulator.terminal.serve import PENDING_BYTES_MAX, _answer, _channel_maker
from posdecom_simulator.terminal.store import MemoryStore


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


def test_no_more_waits_for_a_peer_that_takes_no_byte_than_there_is_room_for() -> None:
    clock = map(float, count())
    front: Any = Ending(restart_by=10.0, unsent=bytearray(2 * PENDING_BYTES_MAX))
    _answer(front, Deaf(), lambda: next(clock))
    assert len(front.unsent) == PENDING_BYTES_MAX


@dataclass
class Raising(Ending):
    """A front that has agreed to a higher speed: from its last reply on."""

    @property
    def stack(self) -> Any:
        return SimpleNamespace(link=SimpleNamespace(baud=9_600 if self.unsent else 115_200))


@dataclass
class Slow(Deaf):
    """A face whose device has room for four bytes a turn; notes what happens to it."""

    baud: int | None = 9_600
    seen: list[bytes | int] = field(default_factory=list)
    is_full: bool = False

    def write(self, data: bytes) -> int:
        self.is_full = not self.is_full
        if not self.is_full:
            return 0
        self.seen.append(data[:4])
        return len(data[:4])

    def set_speed(self, baud: int) -> None:
        self.seen.append(baud)


def test_the_speed_changes_once_and_when_all_that_was_said_before_is_written() -> None:
    clock, line, front = map(float, count()), Slow(), Raising(restart_by=20.0)
    _answer(cast(Any, front), line, lambda: next(clock))
    assert line.seen == [b"the ", b"last", b" rep", b"ly", 115_200]


def test_a_terminal_that_lost_its_identity_makes_no_channel() -> None:
    with pytest.raises(LocalError, match="the terminal has no channel identity"):
        _channel_maker(MemoryStore(), lambda: None)()

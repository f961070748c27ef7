"""Raising the speed of a line, step by step: proposed, tried with test frames, kept or taken back.

The initiator proposes the next speed and the acceptor accepts it; both change over when the acceptance has left. Then
the initiator sends test frames, which the acceptor sends back. Where enough return, the initiator says keep, and goes
on to the next step; else both go back by their timers, and the raise is over.

Whoever hears no good frame for `FALL_BACK_S` at a raised speed goes back to the first one. So two ends that differ, by
whatever was lost or whoever died, find each other there; and a terminal is left fast for no longer than that.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final

from .errors import FrameError
from .frames import FRAME_OVERHEAD_BYTES, Frame, FrameKind, encode_frame

LADDER: Final = (230_400, 460_800, 921_600, 1_500_000, 3_000_000)
"""Of two for each step, but for the last ones: what adapters and terminals are built for."""

BITS_PER_BYTE: Final = 10

TESTS: Final = 8
TESTS_GOOD: Final = 6
"""On a line with bit errors of 1e-5, which is worth raising, the tests fail once in 280."""

TEST_BODY: Final = b"\x55\xaa" * 32 + b"\x00" * 32 + b"\xff" * 32 + bytes(range(128))
"""Edges at every bit, none for the time of 32 bytes, and every step between: 256 bytes."""

GUARD_S: Final = 0.03
"""Between the last byte at one speed and the first at another: a latency timer of 16 ms, and as much again."""

PROPOSE_REPEAT_S: Final = 0.5
PROPOSALS_MAX: Final = 5
"""Longer than an acceptor takes to go back whose acceptance was lost."""

TEST_S: Final = 0.3
"""Beyond the time that the tests take on the line."""

KEEP_REPEAT_S: Final = 0.15
KEEPS_MAX: Final = 6
REVERT_S: Final = 1.5
"""What the acceptor waits at a new speed to be told to keep it: longer than the tests and two repeats last."""

FALL_BACK_S: Final = 4.0
"""Two keep-alives. Twice that is still within the silence that ends a connection."""

LINGER_S: Final = 1.0
"""After a connection: a CLOSE may be repeated."""


class Step(IntEnum):
    """Wire values, in the body of a SPEED frame."""

    PROPOSE = 1
    ACCEPT = 2
    REFUSE = 3
    KEEP = 4
    KEPT = 5


@dataclass(frozen=True, slots=True)
class Speeds:
    """What one end can do, in bit/s."""

    first: int
    """Where every connection begins, and what both ends go back to."""
    most: int

    def after(self, baud: int) -> int | None:
        return next((step for step in LADDER if baud < step <= self.most), None)


class _State(Enum):
    REST = auto()
    # initiator
    PROPOSING = auto()
    SETTLING = auto()
    TESTING = auto()
    KEEPING = auto()
    YIELDING = auto()
    """Back at the old speed; the acceptor comes back by its timer."""
    # acceptor
    ACCEPTING = auto()
    TRIAL = auto()


_BODY: Final = struct.Struct(">BI")


class SpeedRaise:
    """One end's part in it. Without ``speeds`` it never raises anything."""

    def __init__(self, speeds: Speeds | None) -> None:
        self._is_able = speeds is not None
        self._speeds = speeds or Speeds(0, 0)
        self._state = _State.REST
        self._baud = self._kept = self._tried = self._speeds.first
        self._outgoing: deque[tuple[FrameKind, bytes]] = deque()
        self._due_at: float | None = None
        self._fall_back_at: float | None = None
        self._left = 0
        self._good: set[int] = set()

    @property
    def baud(self) -> int | None:
        """What the port must have now; None: leave it as it is."""
        return self._baud if self._is_able else None

    @property
    def rate_bytes_per_s(self) -> float | None:
        return self._baud / BITS_PER_BYTE if self._is_able else None

    @property
    def is_busy(self) -> bool:
        """Nothing but frames of the raise may be on the line."""
        return self._state is not _State.REST

    @property
    def due_at(self) -> float | None:
        if self._due_at is None or self._fall_back_at is None:
            return self._fall_back_at if self._due_at is None else self._due_at
        return min(self._due_at, self._fall_back_at)

    @property
    def has_outgoing(self) -> bool:
        return bool(self._outgoing)

    # --- what happens --------------------------------------------------------------------------------

    def begin(self, now: float) -> None:
        """The initiator's next step, where there is one."""
        step = self._speeds.after(self._kept)
        if step is None:
            self._rest()
            return
        self._tried, self._left = step, PROPOSALS_MAX
        self._enter(_State.PROPOSING, now)

    def received(self, kind: FrameKind, body: bytes, now: float) -> None:
        """A SPEED or TEST frame. `FrameError`: its body makes no sense; one that has no place now is dropped."""
        if not self._is_able:
            return
        if kind is FrameKind.TEST:
            self._received_test(body, now)
            return
        if len(body) != _BODY.size:
            raise FrameError("SPEED is malformed")
        number, baud = _BODY.unpack(body)
        match (number, self._state):
            case (Step.PROPOSE, _State.REST | _State.ACCEPTING):
                self._answer(baud, now)
            case (Step.ACCEPT, _State.PROPOSING) if baud == self._tried:
                self._enter(_State.SETTLING, now + GUARD_S)
            case (Step.REFUSE, _State.PROPOSING):
                self._rest()
            case (Step.KEEP, _State.TRIAL | _State.REST) if baud == self._baud:
                self._keep()
                self._say(Step.KEPT)
            case (Step.KEPT, _State.KEEPING) if baud == self._baud:
                self._keep()
                self.begin(now)
            case _:
                pass

    def next_frame(self, connection_id: int, starts_at: float) -> bytes | None:
        """What goes on the line now, from ``starts_at`` on."""
        if not self._outgoing:
            return None
        kind, body = self._outgoing.popleft()
        data = encode_frame(Frame(kind, 0, 0, body), connection_id)
        self._sent(kind, starts_at + len(data) * BITS_PER_BYTE / self._baud)
        return data

    def heard(self, now: float) -> None:
        """A good frame of this connection came."""
        self._fall_back_at = None if self._baud == self._speeds.first else now + FALL_BACK_S

    def over(self, now: float) -> None:
        """The connection ended."""
        self._rest()
        self._fall_back_at = None if self._baud == self._speeds.first else now + LINGER_S

    def tick(self, now: float) -> None:
        if self._fall_back_at is not None and now >= self._fall_back_at:
            self._fall_back_at = None
            self._baud = self._kept = self._speeds.first
            self._rest()
        if self._due_at is not None and now >= self._due_at:
            self._due_at = None
            _WHEN_DUE[self._state](self, now)

    # --- private -----------------------------------------------------------------------------------

    def _enter(self, state: _State, due_at: float) -> None:
        self._state, self._due_at = state, due_at

    def _rest(self) -> None:
        self._state, self._due_at = _State.REST, None
        self._outgoing.clear()

    def _say(self, step: Step, baud: int | None = None) -> None:
        self._outgoing.append((FrameKind.SPEED, _BODY.pack(step, self._baud if baud is None else baud)))

    def _sent(self, kind: FrameKind, leaves_at: float) -> None:
        if self._state is _State.ACCEPTING and kind is FrameKind.SPEED:
            self._due_at = leaves_at + GUARD_S / 2
        elif self._state is _State.TESTING:
            # on their way there, and each behind the other on the way back
            test_s = (len(TEST_BODY) + FRAME_OVERHEAD_BYTES) * BITS_PER_BYTE / self._baud
            self._due_at = leaves_at + 2 * test_s + TEST_S

    def _answer(self, baud: int, now: float) -> None:
        if baud not in LADDER or not self._speeds.first < baud <= self._speeds.most:
            self._say(Step.REFUSE, baud)
            return
        self._tried = baud
        self._outgoing.clear()
        self._say(Step.ACCEPT, baud)
        self._enter(_State.ACCEPTING, now + REVERT_S)  # `_sent` says when it has left

    def _received_test(self, body: bytes, now: float) -> None:
        if len(body) != len(TEST_BODY) or body[1:] != TEST_BODY[1:]:
            raise FrameError("TEST is not the pattern")
        if self._state is _State.TRIAL:
            self._outgoing.append((FrameKind.TEST, body))
        elif self._state is _State.TESTING:
            self._good.add(body[0])
            if len(self._good) == TESTS:
                self._due_at = now

    def _keep(self) -> None:
        self._kept = self._baud
        self._rest()

    def _propose(self, now: float) -> None:
        if not self._left:
            self._rest()
            return
        self._left -= 1
        self._say(Step.PROPOSE, self._tried)
        self._due_at = now + PROPOSE_REPEAT_S

    def _test(self, now: float) -> None:
        self._baud = self._tried
        self._good.clear()
        self._outgoing.extend((FrameKind.TEST, bytes([number]) + TEST_BODY[1:]) for number in range(TESTS))
        self._enter(_State.TESTING, now + REVERT_S)

    def _judge(self, now: float) -> None:
        if len(self._good) < TESTS_GOOD:
            self._yield(now)
        else:
            self._left = KEEPS_MAX
            self._enter(_State.KEEPING, now)
            self._repeat_keep(now)

    def _repeat_keep(self, now: float) -> None:
        if not self._left:
            self._yield(now)
            return
        self._left -= 1
        self._say(Step.KEEP)
        self._due_at = now + KEEP_REPEAT_S

    def _yield(self, now: float) -> None:
        self._baud = self._kept
        self._outgoing.clear()
        self._enter(_State.YIELDING, now + REVERT_S)

    def _try(self, now: float) -> None:
        """The acceptance has left, or was never sent: then the initiator asks again."""
        self._baud = self._tried
        self._enter(_State.TRIAL, now + REVERT_S)

    def _revert(self, now: float) -> None:
        self._baud = self._kept
        self._rest()

    def _end(self, now: float) -> None:
        self._rest()


_WHEN_DUE: Final = {
    _State.REST: SpeedRaise._end,
    _State.PROPOSING: SpeedRaise._propose,
    _State.SETTLING: SpeedRaise._test,
    _State.TESTING: SpeedRaise._judge,
    _State.KEEPING: SpeedRaise._repeat_keep,
    _State.YIELDING: SpeedRaise._end,
    _State.ACCEPTING: SpeedRaise._try,
    _State.TRIAL: SpeedRaise._revert,
}

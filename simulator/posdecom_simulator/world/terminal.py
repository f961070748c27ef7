"""A terminal in virtual time, as the right end of a line: it is switched on, loses its power, and comes back.

What survives is what its chips hold. The power fails before a change of the memory, or in any operation of a chip;
front, terminal, the store's index and everything that they held in between are gone, the line hears nothing, and
`BOOT_S` later the terminal boots on what is left. A tamper zeroes the battery-backed chips at once, and the terminal
starts again too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from posdecom_protocol.channel import Channel
from posdecom_protocol.lifecycle import LifecycleState

from ..forensics.record import Note, note_nothing
from ..memory.image import Image
from ..memory.supply import Operation, Outcome, PowerCut
from ..terminal.front import Front
from ..terminal.hardware import HardwareStore, tamper
from ..terminal.recording import RecordingStore
from ..terminal.store import Store
from ..terminal.terminal import Entropy, Terminal
from .faults import Fate, Fault

BOOT_S: Final = 1.5
"""A terminal that is switched on again answers after this."""

YEARS_S: Final = 10 * 365.25 * 86_400

CLOCK_GRAIN_S: Final = 1e-6
"""Rounding between two clocks must not make a timer due and not due at once."""

OUTCOMES: Final = tuple(Outcome)


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on. ``before_change``: of a value; ``before_operation``: of a chip; ``before_bytes``: each time that
    the terminal says something; ``after_cut``: the power is gone; ``note``: secrets that go into the memory."""

    before_change: Callable[[], None] = _nothing
    before_operation: Callable[[Operation], None] = _nothing
    before_bytes: Callable[[], None] = _nothing
    after_cut: Callable[[], None] = _nothing
    note: Note = note_nothing


class _ChangeByChange(RecordingStore):
    """Says so before each value that changes; they change one by one."""

    def __init__(self, store: Store, note: Note, before_change: Callable[[], None]) -> None:
        super().__init__(store, note)
        self._before_change = before_change

    def put(self, values: Mapping[str, bytes]) -> None:
        for name, value in values.items():
            self._before_change()
            super().put({name: value})

    def erase(self, names: Iterable[str]) -> None:
        for name in list(names):
            self._before_change()
            super().erase((name,))


class VirtualTerminal:
    """``image``: its chips, as they are when it is switched on first; they are changed. ``channel`` makes this end of
    one, told whether dates are to be judged."""

    def __init__(
        self,
        image: Image,
        channel: Callable[[float | None], Channel],
        entropy: Entropy,
        fate: Fate,
        now: float,
        *,
        line_rate_bytes_per_s: float | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.image = image
        self.boots = 0
        self.is_tampered = False
        self.has_lost_identity = False
        self._channel = channel
        self._entropy = entropy
        self._fate = fate
        self._rate = line_rate_bytes_per_s
        self._watch = watch or Watch()
        self._front: Front | None = None
        self._wake_at = -inf
        """By its own clock: before, and while it hears nothing, a turn would do nothing."""
        self._up_at = now
        self._clock_offset_s = 0.0
        self._now = now

    # --- an end of the line

    def turn(self, now: float) -> bytes:
        self._now = now
        try:
            front = self._front or self._boot(now)
            own = now + self._clock_offset_s
            if front is None or own < self._wake_at:
                return b""
            front.tick(own)
            data = front.bytes_to_send(own)
            if data:
                self._maybe_tamper()
            if front.is_restart_due(own):
                self._switch_off(now)
        except PowerCut:
            self._cut(now)
            return b""
        due = front.deadline()
        self._wake_at = inf if due is None else due
        if data:
            self._watch.before_bytes()
        return data

    def receive(self, data: bytes, now: float) -> None:
        self._now = now
        if self._front is None:
            return
        self._wake_at = -inf
        try:
            self._front.receive(data, now + self._clock_offset_s)
        except PowerCut:
            self._cut(now)

    def deadline(self) -> float | None:
        if self._front is None:
            return self._up_at
        return None if self._wake_at == inf else self._wake_at - self._clock_offset_s + CLOCK_GRAIN_S

    # --- private

    def _before_change(self) -> None:
        self._watch.before_change()
        if self._fate.strikes(Fault.POWER_CUT):
            raise PowerCut("cut by the world")

    def _supply(self, operation: Operation) -> Outcome | None:
        self._watch.before_operation(operation)
        self._maybe_tamper()
        if self._fate.strikes(Fault.FLASH_CUT):
            return OUTCOMES[(self._fate.seen[Fault.FLASH_CUT] + self._fate.plan.luck) % len(OUTCOMES)]
        return None

    def _maybe_tamper(self) -> None:
        """The battery-backed memory is gone before the processor knows, which then starts again."""
        if not self.is_tampered and self._fate.strikes(Fault.TAMPER):
            self.is_tampered = True
            self.has_lost_identity = self._fate.plan.tamper_reaches_identity
            tamper(self.image, reaches_identity=self.has_lost_identity)
            raise PowerCut("tampered with by the world")

    def _cut(self, now: float) -> None:
        self._switch_off(now)
        self._watch.after_cut()

    def _switch_off(self, now: float) -> None:
        self._front = None
        self._up_at = now + BOOT_S

    def _boot(self, now: float) -> Front | None:
        """The front of a booted terminal; None while it is off, or where it has to start afresh first."""
        if now < self._up_at:
            return None
        self.boots += 1
        chips = HardwareStore(self.image, self._supply, entropy=self._entropy)
        store = _ChangeByChange(chips, self._watch.note, self._before_change)
        terminal = Terminal.boot(store, self._entropy)
        if terminal.life.state is not LifecycleState.ACTIVE:
            if self._fate.strikes(Fault.CLOCK_RESET):
                self._clock_offset_s = -now
            if self._fate.strikes(Fault.CLOCK_AHEAD):
                self._clock_offset_s = YEARS_S
        if terminal.restart_due:
            self._switch_off(now)
            return None
        own = now + self._clock_offset_s
        self._wake_at = -inf
        self._front = Front(
            terminal,
            lambda: self._channel(terminal.dates_floor(self._now + self._clock_offset_s)),
            own,
            line_rate_bytes_per_s=self._rate,
        )
        return self._front

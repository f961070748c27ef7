"""A terminal in virtual time, as the right end of a line: it is switched on, loses its power, and comes back.

What survives is its memory alone. A power cut strikes before a change of the memory; front, terminal and everything
that they held in between are gone, the line hears nothing, and `BOOT_S` later the terminal boots on what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import Final

from posdecom_protocol.channel import Channel
from posdecom_protocol.lifecycle import LifecycleState

from ..terminal.front import Front
from ..terminal.store import MemoryStore, PowerCut
from ..terminal.terminal import Entropy, Terminal
from .faults import Fate, Fault

BOOT_S: Final = 1.5
"""A terminal that is switched on again answers after this."""

YEARS_S: Final = 10 * 365.25 * 86_400

CLOCK_GRAIN_S: Final = 1e-6
"""Rounding between two clocks must not make a timer due and not due at once."""


class VirtualTerminal:
    """``values``: what the memory holds when it is switched on first. ``channel`` makes this end of one, told
    whether dates are to be judged. ``before_change`` and ``before_bytes`` let the
    world look at it before each change of the memory and before each time that it says something."""

    def __init__(
        self,
        values: Mapping[str, bytes],
        channel: Callable[[float | None], Channel],
        entropy: Entropy,
        fate: Fate,
        now: float,
        *,
        line_rate_bytes_per_s: float | None = None,
        before_change: Callable[[], None] = lambda: None,
        before_bytes: Callable[[], None] = lambda: None,
    ) -> None:
        self.store = MemoryStore(self._change, values)
        self.boots = 0
        self.changes = 0
        """Of the memory, the one under way included: between two looks with the same number it stays as it is."""
        self._channel = channel
        self._entropy = entropy
        self._fate = fate
        self._rate = line_rate_bytes_per_s
        self._before_change = before_change
        self._before_bytes = before_bytes
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
            if front.is_restart_due(own):
                self._switch_off(now)
        except PowerCut:
            self._switch_off(now)
            return b""
        due = front.deadline()
        self._wake_at = inf if due is None else due
        if data:
            self._before_bytes()
        return data

    def receive(self, data: bytes, now: float) -> None:
        self._now = now
        if self._front is None:
            return
        self._wake_at = -inf
        try:
            self._front.receive(data, now + self._clock_offset_s)
        except PowerCut:
            self._switch_off(now)

    def deadline(self) -> float | None:
        if self._front is None:
            return self._up_at
        return None if self._wake_at == inf else self._wake_at - self._clock_offset_s + CLOCK_GRAIN_S

    # --- private

    def _change(self) -> None:
        self._before_change()
        self.changes += 1
        if self._fate.strikes(Fault.POWER_CUT):
            raise PowerCut("cut by the world")

    def _switch_off(self, now: float) -> None:
        self._front = None
        self._up_at = now + BOOT_S

    def _boot(self, now: float) -> Front | None:
        """The front of a booted terminal; None while it is off, or where it has to start afresh first."""
        if now < self._up_at:
            return None
        self.boots += 1
        terminal = Terminal.boot(self.store, self._entropy)
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

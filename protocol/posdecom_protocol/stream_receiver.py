"""The receiving half of a stream: puts DATA frames in order and says in an `Acknowledgement` what came.

Holds at most the window it was given: what is in order but not yet taken, and what is ahead of a gap. A frame that
would need more, or whose number was seen before, or is older than the map of numbers, changes nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final

from .acknowledgement import NUMBERS_MAPPED, Acknowledgement
from .frames import Frame
from .wrapping import expand

_MAP: Final = (1 << NUMBERS_MAPPED) - 1

NUMBERS_AHEAD_MAX: Final = 1024
"""A sender has at most 128 numbers open and adds one a probe; a number further ahead is a leftover of long ago."""

PIECES_AHEAD_MAX: Final = 2 * NUMBERS_MAPPED
"""As many frames as can be open, each cut in two by one that came before: looking through them stays cheap."""


class StreamReceiver:
    """Frames in by `accept`, the stream's bytes out by `take`."""

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._ready = bytearray()
        self._ahead: dict[int, bytes] = {}
        self._starts: list[int] = []
        self._next_offset = 0
        self._highest = -1
        self._missing = 0
        self._edge = window_bytes

    @property
    def held_bytes(self) -> int:
        """In order and not taken, and ahead of a gap; at most the window."""
        return len(self._ready) + sum(len(piece) for piece in self._ahead.values())

    @property
    def window_opened(self) -> bool:
        """Whether the peer should learn that at least half of the window became free since it was last told."""
        return self._next_offset + self._free_bytes() - self._edge >= self._window_bytes // 2

    def accept(self, frame: Frame) -> bool:
        """Takes in a DATA frame; True when the peer should hear at once: a gap opened, or a frame came in vain."""
        number = expand(frame.number, 16, self._highest + 1)
        if number > self._highest + NUMBERS_AHEAD_MAX or self._is_old(number):
            return True
        if not self._store(expand(frame.offset, 16, self._next_offset), frame.body):
            return True
        gap = number > self._highest + 1
        self._note(number)
        return gap

    def take(self) -> bytes:
        """What is in order, at most the window; frees the room for it."""
        data = bytes(self._ready)
        self._ready.clear()
        return data

    def acknowledgement(self) -> Acknowledgement:
        """What to tell the peer now."""
        free = self._free_bytes()
        self._edge = self._next_offset + free
        return Acknowledgement(self._next_offset & 0xFFFFFFFF, free, self._highest & 0xFFFF, self._missing)

    def _free_bytes(self) -> int:
        return self._window_bytes - len(self._ready)

    def _is_old(self, number: int) -> bool:
        age = self._highest - 1 - number
        return age >= NUMBERS_MAPPED or number == self._highest or (age >= 0 and not self._missing >> age & 1)

    def _note(self, number: int) -> None:
        step = number - self._highest
        if step < 0:
            self._missing &= ~(1 << (-step - 1))
            return
        skipped = (1 << (step - 1)) - 1
        self._missing = (self._missing << step | skipped) & _MAP
        self._highest = number

    def _store(self, start: int, body: bytes) -> bool:
        """False when it does not fit into what was promised."""
        if start + len(body) > self._next_offset + self._free_bytes():
            return False
        if start > self._next_offset:
            return self._store_ahead(start, body)
        self._deliver(start, body)
        while self._starts and self._starts[0] <= self._next_offset:
            piece_start = self._starts.pop(0)
            self._deliver(piece_start, self._ahead.pop(piece_start))
        return True

    def _store_ahead(self, start: int, body: bytes) -> bool:
        """Keeps of ``body`` what no other piece covers: pieces never overlap, so the window bounds their sum."""
        if len(self._ahead) >= PIECES_AHEAD_MAX:
            return False
        position = start
        near = slice(
            max(0, bisect_right(self._starts, start) - 1), bisect_left(self._starts, start + len(body))
        )
        for piece_start in self._starts[near]:
            self._keep(position, body[position - start : max(0, piece_start - start)])
            position = max(position, piece_start + len(self._ahead[piece_start]))
        self._keep(position, body[position - start :])
        return True

    def _keep(self, start: int, body: bytes) -> None:
        if body:
            self._ahead[start] = body
            insort(self._starts, start)

    def _deliver(self, start: int, body: bytes) -> None:
        fresh = body[max(0, self._next_offset - start) :]
        self._ready += fresh
        self._next_offset += len(fresh)

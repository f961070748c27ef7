"""Looking for keys in bytes: every position, every form; eight equal bytes are a find.

Shares no code with the terminal whose memory it looks at.

Needles are kept by their first eight bytes as an integer, and a haystack is cast to such integers at each of its eight
alignments: the rest is set intersection, at memory speed. Finds tell slot, form and place, never a value.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .forms import WINDOW_BYTES, Form, Rendering, renderings
from .record import Entry, live

_BLANK: Final = frozenset(int.from_bytes(bytes([byte]) * WINDOW_BYTES, sys.byteorder) for byte in range(256))
"""Windows of one byte repeated: no part of a random key, and to be found in any blank memory."""


@dataclass(frozen=True, slots=True)
class Find:
    """One stretch of one key in one form."""

    slot: str
    form: Form
    region: str
    offset: int
    size_bytes: int
    """As it lies there: twice as many characters in hex."""


@dataclass(frozen=True, slots=True, repr=False)
class _Needle:
    slot: str
    value: bytes
    rendering: Rendering


class Search:
    """Everything to look for, from the entries of secrets files; in every form, or in those that ``forms`` makes."""

    def __init__(
        self, entries: Iterable[Entry], forms: Callable[[bytes], Iterable[Rendering]] = renderings
    ) -> None:
        kept = tuple(entries)
        self.live: Final = live(kept)
        by_value: dict[bytes, str] = {}
        for entry in kept:
            for value in entry.values:
                by_value.setdefault(value, entry.slot)
        self.values: Final = len(by_value)
        needles = [
            _Needle(slot, value, rendering) for value, slot in by_value.items() for rendering in forms(value)
        ]
        self._places: dict[int, list[tuple[_Needle, int]]] = {}
        """First bytes of a window: needles, and where in each the window begins."""
        for needle in needles:
            self._index(needle)
        self._words: Final = frozenset(self._places)
        self._found: set[bytes] = set()
        self._stretches: Counter[tuple[bytes, Form]] = Counter()

    def look(self, region: str, data: bytes) -> list[Find]:
        """Every find in ``data``, in the order of their places."""
        runs: dict[tuple[bytes, Form, int], list[tuple[int, _Needle]]] = {}
        for offset, position, needle in self._windows(data):
            # what renderings of one form have in common (digits in both cases of hex) is found once
            run = needle.value, needle.rendering.form, offset - position
            runs.setdefault(run, []).append((offset, needle))
        finds = [find for run in runs.values() for find in self._joined(region, run)]
        return sorted(finds, key=lambda find: (find.offset, find.slot))

    def missing_live(self) -> list[str]:
        """Slots of which something should have been found so far and was not."""
        return [slot for slot, (values, wrapped) in self.live.items() if not self._is_there(values, wrapped)]

    def has_dead_copy(self) -> bool:
        """Whether a key was found that is held no more, or one twice in the same form: what an overwrite leaves."""
        held = {value for group in self.live.values() for values in group for value in values}
        return any(count > 1 or value not in held for (value, _), count in self._stretches.items())

    # --- private ---------------------------------------------------------------------------------------

    def _is_there(self, values: Iterable[bytes], wrapped: Iterable[bytes]) -> bool:
        in_the_clear = list(values)
        return (bool(in_the_clear) and self._found.issuperset(in_the_clear)) or not self._found.isdisjoint(
            wrapped
        )

    def _index(self, needle: _Needle) -> None:
        text, window, step = needle.rendering.text, needle.rendering.window, needle.rendering.step
        for position in range(0, len(text) - window + 1, step):
            word = int.from_bytes(text[position : position + WINDOW_BYTES], sys.byteorder)
            if word not in _BLANK:
                self._places.setdefault(word, []).append((needle, position))

    def _windows(self, data: bytes) -> Iterator[tuple[int, int, _Needle]]:
        """Offset, position in its needle, needle, of each window that lies in ``data``."""
        view = memoryview(data)
        # no needle begins in the rest, which is one byte repeated: most of a memory that was erased
        size = min(len(data), len(data.rstrip(data[-1:])) + WINDOW_BYTES - 1)
        for shift in range(min(WINDOW_BYTES, size - WINDOW_BYTES + 1)):
            end = shift + (size - shift) // WINDOW_BYTES * WINDOW_BYTES
            words = view[shift:end].cast("Q")
            hits = self._words.intersection(words)
            if hits:
                yield from self._checked(data, shift, words, hits)

    def _checked(
        self, data: bytes, shift: int, words: memoryview[int], hits: frozenset[int]
    ) -> Iterator[tuple[int, int, _Needle]]:
        for at in [at for at, word in enumerate(words) if word in hits]:
            offset = shift + at * WINDOW_BYTES
            for needle, position in self._places[words[at]]:
                rendering = needle.rendering
                if data.startswith(rendering.text[position : position + rendering.window], offset):
                    yield offset, position, needle

    def _joined(self, region: str, run: list[tuple[int, _Needle]]) -> Iterator[Find]:
        """Windows that overlap or touch are one find."""
        needle = run[0][1]
        self._found.add(needle.value)
        stretches: list[tuple[int, int]] = []
        for offset in sorted(offset for offset, _ in run):
            start = offset
            if stretches and offset <= stretches[-1][1]:
                start = stretches.pop()[0]
            stretches.append((start, offset + needle.rendering.window))
        self._stretches[needle.value, needle.rendering.form] += len(stretches)
        for start, end in stretches:
            yield Find(needle.slot, needle.rendering.form, region, start, end - start)

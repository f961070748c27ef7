"""Every state that one more power cut could leave, judged; boots that cannot differ are counted, not run.

A boot is deterministic: what it does follows from the chips. It tells less of them apart than there are bits: of a
block that is not in use it asks whether it is retired and whether it is blank, of a slot without a value whether it is
zero. `_told_apart` says so of each block and slot. Two images that are equal in this are booted alike, operation for
operation, and end as the same cells, if every block is erased meanwhile: then nothing is left of what was not looked
at. That is checked at each boot that is run; one that erased less vouches for an image of the very same cells only.

Wear counters are no part of it: a store asks which of two blocks is the more worn, and whether by more than
`WEAR_SPREAD_MAX`. `spread_wear` sets them so far apart that the erases of a case change neither answer, which is
checked.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from posdecom_simulator.memory import flash_layout
from posdecom_simulator.memory.flash import BLANK, COUNT_BYTES
from posdecom_simulator.memory.flash_log import WEAR_SPREAD_MAX
from posdecom_simulator.memory.image import FLASH, REGIONS, SRAM, WEAR, Geometry, Image
from posdecom_simulator.memory.slot_memory import read_slots
from posdecom_simulator.memory.supply import Operation, left_behind
from power import CUTS

_WEAR_STEP: Final = 40
_ERASES_MAX: Final = 9
"""Of one block in all boots of one case: differences of 40 and 80 stay on their side of 64."""
assert _WEAR_STEP + _ERASES_MAX < WEAR_SPREAD_MAX < 2 * _WEAR_STEP - _ERASES_MAX

CHECKED_OF: Final = 997
"""One of so many that need not be booted is booted all the same."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One block or slot."""

    raw: int
    """A number for its bytes."""
    told_apart: int
    """A number for what any boot can tell apart."""
    needed: int
    """The same for a boot that never asks whether a block that is not in use is blank."""
    in_use: bool
    """A block that is."""
    secret: bool
    evidence: bool


_KEYS: Final = (attrgetter("raw"), attrgetter("told_apart"), attrgetter("needed"))


class _Watched(bytearray):
    """The flash, which takes down the blocks that were read as a whole before anything was written to them."""

    def by(self, block_bytes: int) -> _Watched:
        self._block_bytes, self.asked, self._written = block_bytes, set[int](), set[int]()
        return self

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice) and key.stop - key.start == self._block_bytes:
            self.asked |= {key.start // self._block_bytes} - self._written
        return super().__getitem__(key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._written.add(key.start // self._block_bytes)
        super().__setitem__(key, value)


@dataclass(slots=True)
class Recoveries:
    """``finish`` boots an image to its end and judges it; ``is_secret`` searches one block or slot.

    ``origin`` is the image that every case began with.
    """

    origin: Image
    finish: Callable[[Image], None]
    is_secret: Callable[[bytes], bool]
    evidence: bytes
    cases: int = 0
    booted: int = 0
    checked: int = 0
    """Of those that were booted: only to see that others like it end so, too."""
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _units: dict[tuple[str, bool, bytes], _Unit] = field(default_factory=dict)
    _ended: set[tuple[int, ...]] = field(default_factory=set)

    def cut_everywhere(self, image: Image, boot: Callable[[Image, EveryState], object]) -> None:
        """Run ``boot`` on ``image`` and judge whatever a cut at any of its operations would have left."""
        supply = EveryState(image, self)
        boot(image, supply)
        supply.settle()

    def units(self, image: Image) -> list[_Unit]:
        return [self.unit(region, start == 0, content) for region, start, content in units_of(image)]

    def unit(self, region: str, is_first: bool, content: bytes) -> _Unit:
        known = self._units.get((region, is_first, content))
        if known is None:
            needed = _told_apart(region, is_first, content)
            is_blank = content == BLANK * len(content)
            known = _Unit(
                raw=self._number(content),
                told_apart=self._number((needed, is_blank)),
                needed=self._number(needed),
                in_use=region == FLASH and flash_layout.read_header(content).opening is not None,
                secret=self.is_secret(content),
                evidence=self.evidence in content,
            )
            self._units[region, is_first, content] = known
        return known

    def judge(self, units: list[_Unit], image: Callable[[], Image]) -> None:
        """One case: ``image`` makes the cells that ``units`` were taken from, to be booted and changed."""
        self.cases += 1
        if any(unit.evidence for unit in units):
            assert not any(unit.secret for unit in units), "evidence before the erase"
        keys = [tuple(map(key, units)) for key in _KEYS]
        is_ended = not self._ended.isdisjoint(keys)
        if is_ended and self.cases % CHECKED_OF:
            return
        self.booted += 1
        self.checked += is_ended
        self._ended.add(keys[self._boot(image())])

    def check_wear(self, image: Image) -> None:
        assert 0 <= min(self._erased(image)) <= max(self._erased(image)) <= _ERASES_MAX, (
            "wear changed its order"
        )

    # --- private ---------------------------------------------------------------------------------------

    def _boot(self, image: Image) -> int:
        """Boot ``image`` to its end; returns which of `_KEYS` vouches for others like it."""
        block_bytes = image.geometry.flash.block_bytes
        in_use = [one.in_use for one in self.units(image)[: image.geometry.flash.blocks]]
        watched = _Watched(image.cells[FLASH]).by(block_bytes)
        before = _erases(image)
        booted = Image(image.geometry, {**image.cells, FLASH: watched})
        self.finish(booted)
        self.check_wear(booted)
        if any(now == then for now, then in zip(_erases(booted), before, strict=True)):
            return 0
        return 1 if any(not in_use[block] for block in watched.asked) else 2

    def _number(self, value: Hashable) -> int:
        return self._numbers.setdefault(value, len(self._numbers))

    def _erased(self, image: Image) -> list[int]:
        return [now - then for now, then in zip(_erases(image), _erases(self.origin), strict=True)]


class EveryState:
    """A supply that never fails, but has each state judged that a failure would have left of ``image``."""

    def __init__(self, image: Image, recoveries: Recoveries) -> None:
        self._image: Final = image
        self._recoveries: Final = recoveries
        self._units = recoveries.units(image)
        self._pending: tuple[Operation, bytes] | None = None
        self._place_of: Final = {
            (region, start): place for place, (region, start, _) in enumerate(units_of(image))
        }

    def __call__(self, operation: Operation) -> None:
        self.settle()
        self._pending = operation, self._unit_of(operation)

    def settle(self) -> None:
        """The last operation is done: what could have been left of it is known."""
        if self._pending is None:
            return
        (operation, before), self._pending = self._pending, None
        region, _, start, size = operation
        after = self._unit_of(operation)
        size_bytes = len(after)
        at = start % size_bytes
        place = self._place_of[region, start - at]
        for outcome in CUTS:
            cells = left_behind(outcome, before[at : at + size], after[at : at + size])
            self._judge(region, place, start - at, before[:at] + cells + before[at + size :])
        self._units[place] = self._recoveries.unit(region, start < size_bytes, after)
        self._recoveries.check_wear(self._image)

    def _judge(self, region: str, place: int, start: int, content: bytes) -> None:
        def image() -> Image:
            left = self._image.copy()
            left.cells[region][start : start + len(content)] = content
            return left

        units = self._units.copy()
        units[place] = self._recoveries.unit(region, start == 0, content)
        self._recoveries.judge(units, image)

    def _unit_of(self, operation: Operation) -> bytes:
        size = unit_bytes(self._image.geometry, operation.region)
        start = operation.start - operation.start % size
        return bytes(self._image.cells[operation.region][start : start + size])


def units_of(image: Image) -> Iterator[tuple[str, int, bytes]]:
    """Region, first byte and cells of every block and slot."""
    for region in REGIONS:
        size = unit_bytes(image.geometry, region)
        for start in range(0, len(image.cells[region]), size):
            yield region, start, bytes(image.cells[region][start : start + size])


def unit_bytes(geometry: Geometry, region: str) -> int:
    """What one operation changes at most: a block, or a slot."""
    if region == FLASH:
        return geometry.flash.block_bytes
    return geometry.sram_slot_bytes if region == SRAM else geometry.secure_element_slot_bytes


def spread_wear(image: Image) -> None:
    """The blocks' order of wear stays as it is; between two of them there are now 40 erases."""
    erases = _erases(image)
    for rank, block in enumerate(sorted(range(len(erases)), key=lambda block: (erases[block], block))):
        struct.pack_into(">I", image.cells[WEAR], block * COUNT_BYTES, rank * _WEAR_STEP)


def _told_apart(region: str, is_first: bool, content: bytes) -> Hashable:
    if region == FLASH:
        return _block(content)
    holds_value = next(read_slots(bytes(len(content)) + content, len(content)), None) is not None
    return content if is_first or holds_value else any(content)


def _block(content: bytes) -> Hashable:
    header = flash_layout.read_header(content)
    if header.opening is None:
        return header
    entries = list(flash_layout.read_entries(content))
    end = entries[-1].end if entries else flash_layout.HEADER_BYTES
    versions = max((entry.version for entry in entries), default=0)
    live = tuple((entry.offset, content[entry.offset : entry.end]) for entry in entries if entry.is_live)
    return header, live, versions, end, content[end:] == BLANK * (len(content) - end)


def _erases(image: Image) -> list[int]:
    return [count for (count,) in struct.iter_unpack(">I", image.cells[WEAR])]

"""Named values on flash, log-structured: what is replaced or erased is marked dead, and stays where it is.

A put appends an entry (in parts, where it does not fit the block) and then marks the one before dead. Every program
is read back; a block that does not read back is retired as it is. When spare blocks run short, the block with the
least that lives is copied away and released, not erased: a spare block is erased when it is opened again. So old copies
lie in dead entries, in spare blocks and in retired ones, until `FlashLog.scrub` destroys them all.

The index (name to places) is in RAM, built at boot by one pass over the blocks in use; reading costs the same however
many dead copies there are.

A power cut at any operation, torn or not, leaves each name with its value before or after the put, and never brings
a dead one back: an incomplete entry does not check, of two complete versions the higher counts, and whatever the boot
finds superseded it marks dead.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from . import flash_layout as layout
from .flash import BLANK, Flash
from .supply import MemoryFull

SPARE_BLOCKS_MIN: Final = 3
"""Below, blocks are collected: one to copy into, one for when that wears out meanwhile, one more."""
COLLECTED_AHEAD: Final = 8
"""Looking for what to collect costs a pass over all blocks: so a few more at once."""
FILLED_PERCENT_MAX: Final = 90
"""Of all blocks; beyond, much would be copied for every byte that is written."""
GROWTH_BYTES_SMALL: Final = 64
"""A put that adds no more is taken beyond that, too: states, counters and marks of a terminal that is full."""
WEAR_SPREAD_MAX: Final = 64
"""Erases between the most worn block and one that lies still; beyond, what lies still is moved."""
PART_BYTES_MIN: Final = 64
"""A smaller rest of a block is left unused."""
STUCK_BITS_PER_BLOCK_MAX: Final = 64
"""More bits than that at 0 after an erase are no worn cells: the erase did not work."""


class _Held(NamedTuple):
    version: int
    places: tuple[int, ...]
    """Addresses of the entries of its parts, in order."""


@dataclass(slots=True)
class Scrubbed:
    """What a scrub did, block by block."""

    blocks: int = 0
    not_zero: int = 0
    """Blocks in which a byte did not read back zero before the erase."""
    not_blank: int = 0
    """Blocks that did not read back erased, but for a few worn cells."""
    stuck_bits: int = 0
    """Bits that were programmed to 0, read back 0, and stayed 0 through the erase: they hold nothing."""

    @property
    def is_read_back(self) -> bool:
        return self.blocks > 0 and self.not_zero == 0 and self.not_blank == 0


class FlashLog:
    """The store on one chip; reads it through at once. What a power cut left behind is put in order meanwhile."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._block_bytes = flash.shape.block_bytes
        self._index: dict[str, _Held] = {}
        self._live_bytes = [0] * flash.shape.blocks
        self._live_bytes_total = 0
        self._spare: list[tuple[int, int]] = []
        """A heap of (erases, block)."""
        self._in_use: set[int] = set()
        self._retired: set[int] = set()
        self._head: int | None = None
        self._end = 0
        """Offset in the head block where the next entry goes."""
        self._opening = 0
        self._version = 0
        self._boot()

    # --- reading ---------------------------------------------------------------------------------------

    def get(self, name: str) -> bytes | None:
        held = self._index.get(name)
        return None if held is None else b"".join(map(self._value_at, held.places))

    def names(self) -> Iterable[str]:
        return self._index.keys()

    def has_room(self, sizes: Mapping[str, int]) -> bool:
        """Whether new values of these lengths (bytes, by name) find room together, beside all that lives."""
        more = sum(self._entries_bytes(name, size) for name, size in sizes.items())
        return self._live_bytes_total + more <= self._capacity_bytes()

    # --- writing ---------------------------------------------------------------------------------------

    def put(self, name: str, value: bytes, *, is_last: bool = False) -> None:
        """Durable on return; after a power cut meanwhile the name has this value or the one before.

        ``is_last``: what leads to an end, and so may use what no other put gets (`FILLED_PERCENT_MAX`).
        """
        if not (is_last or self.has_room({name: len(value)}) or self._is_small(name, len(value))):
            raise MemoryFull(f"the flash has no room for {len(value)} bytes more")
        self._version += 1
        held = _Held(self._version, self._write(name, value))
        before = self._index.get(name)
        self._index[name] = held
        self._mark_dead(() if before is None else before.places)

    def erase(self, names: Iterable[str]) -> None:
        """Forget the values. Their bytes stay until the block is erased, see `scrub`."""
        for name in names:
            held = self._index.pop(name, None)
            self._mark_dead(() if held is None else held.places)

    def scrub(self) -> Scrubbed:
        """Destroy everything that no name leads to, in every block, spare and retired ones too.

        Spare blocks are scrubbed first. What lives is copied into scrubbed blocks before its own is touched. Each
        block is programmed to zero, read back, erased, read back. Begun again after a power cut it loses nothing.
        """
        done = Scrubbed()
        spare = [block for _, block in sorted(self._spare)]
        others = sorted(self._retired) + sorted(self._in_use - self._retired)
        self._spare, self._head = [], None
        for block in (*spare, *others):
            self._relocate(block)
            self._scrub_block(block, done)
            self._in_use.discard(block)
            self._count_live(block, -self._live_bytes[block])
            if block in self._retired:
                self._flash.program(self._address(block) + layout.RETIRED_AT, layout.RETIRED)
            else:
                self._add_spare(block)
        return done

    # --- boot ------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        parts: dict[tuple[str, int], dict[int, tuple[int, bool]]] = {}
        dead: list[int] = []
        newest = -1
        for block in range(self._flash.shape.blocks):
            header = layout.read_header(self._flash.read(self._address(block), layout.HEADER_BYTES))
            if header.is_retired:
                self._retired.add(block)
            if header.opening is not None:
                self._in_use.add(block)
                end = self._read_block(block, parts, dead)
                if header.opening > newest and not header.is_retired:
                    newest, self._head, self._end = header.opening, block, end
                self._opening = max(self._opening, header.opening)
            elif not header.is_retired:
                self._add_spare(block)
        dead += self._join_parts(parts)
        self._mark_dead(dead)
        self._close_torn_head()

    def _read_block(
        self, block: int, parts: dict[tuple[str, int], dict[int, tuple[int, bool]]], dead: list[int]
    ) -> int:
        """Take the block's entries into the index, those in parts into ``parts``; returns where they end."""
        start, end = self._address(block), layout.HEADER_BYTES
        for entry in layout.read_entries(self._flash.read_block(block)):
            end = entry.end
            self._version = max(self._version, entry.version)
            if not entry.is_live:
                continue
            address = start + entry.offset
            self._count_live(block, entry.end - entry.offset)
            if entry.part == 0 and entry.is_last:
                dead += self._rank(entry.name, _Held(entry.version, (address,)))
            else:
                places = parts.setdefault((entry.name, entry.version), {})
                if entry.part in places:
                    dead.append(address)
                places.setdefault(entry.part, (address, entry.is_last))
        return end

    def _join_parts(self, parts: Mapping[tuple[str, int], Mapping[int, tuple[int, bool]]]) -> Iterator[int]:
        """Complete values into the index; yields the places of what is superseded or incomplete."""
        for (name, version), found in parts.items():
            ordered = [found[part] for part in sorted(found)]
            places = tuple(address for address, _ in ordered)
            if ordered[-1][1] and len(found) == max(found) + 1:
                yield from self._rank(name, _Held(version, places))
            else:
                yield from places

    def _rank(self, name: str, held: _Held) -> tuple[int, ...]:
        """Keep the higher version; returns the places of the other."""
        known = self._index.get(name)
        if known is not None and known.version >= held.version:
            return held.places
        self._index[name] = held
        return () if known is None else known.places

    def _close_torn_head(self) -> None:
        """Nothing is appended behind an entry that a power cut left incomplete."""
        if self._head is not None:
            rest = self._flash.read(self._address(self._head) + self._end, self._block_bytes - self._end)
            if rest != BLANK * len(rest):
                self._end = self._block_bytes

    # --- appending -------------------------------------------------------------------------------------

    def _write(self, name: str, value: bytes) -> tuple[int, ...]:
        """Append ``value``; again from the start where a block wears out meanwhile."""
        places: tuple[int, ...] | None = None
        while places is None:
            self._make_room(name, len(value))
            places = self._write_parts(name, value)
        return places

    def _write_parts(self, name: str, value: bytes) -> tuple[int, ...] | None:
        """Append ``value`` in as many parts as it takes; None where one does not read back."""
        overhead = layout.entry_bytes(name, 0)
        places: list[int] = []
        done = 0
        while not places or done < len(value):
            if self._room() < overhead + min(PART_BYTES_MIN, len(value) - done):
                self._open_block()
            part = value[done : done + self._room() - overhead]
            done += len(part)
            entry = layout.build_entry(name, part, len(places), self._version, is_last=done == len(value))
            place = self._append(entry)
            if place is None:
                self._mark_dead(places)
                return None
            places.append(place)
        return tuple(places)

    def _room(self) -> int:
        return 0 if self._head is None else self._block_bytes - self._end

    def _append(self, entry: bytes) -> int | None:
        """Where the entry went, into a head that has room; None if it did not read back, its block is retired then."""
        assert self._head is not None
        block, place = self._head, self._address(self._head) + self._end
        self._end += len(entry)
        self._flash.program(place, entry)
        if self._flash.read(place, len(entry)) == entry:
            self._count_live(block, len(entry))
            return place
        self._retire(block)
        return None

    def _open_block(self) -> None:
        """Make the least worn spare block the head."""
        while self._spare:
            _, block = heapq.heappop(self._spare)
            if self._flash.read_block(block) != BLANK * self._block_bytes:
                self._flash.erase(block)
            self._opening += 1
            header = layout.build_header(self._opening)
            self._flash.program(self._address(block), header)
            if self._flash.read(self._address(block), len(header)) == header:
                self._in_use.add(block)
                self._count_live(block, -self._live_bytes[block])
                self._head, self._end = block, layout.HEADER_BYTES
                return
            self._retired.add(block)
            self._flash.program(self._address(block) + layout.RETIRED_AT, layout.RETIRED)
        raise MemoryFull("the flash has no spare block left")

    def _retire(self, block: int) -> None:
        """Take a worn block out of use: what lives in it is copied, what is dead in it stays."""
        self._head = None
        self._retired.add(block)
        self._flash.program(self._address(block) + layout.RETIRED_AT, layout.RETIRED)
        self._relocate(block)
        self._release(block)

    # --- collecting ------------------------------------------------------------------------------------

    def _make_room(self, name: str, value_bytes: int) -> None:
        """Collect until what follows can be written without collecting."""
        overhead = layout.entry_bytes(name, 0)
        if self._room() >= overhead + value_bytes:
            return
        per_block = self._block_bytes - layout.HEADER_BYTES - overhead - PART_BYTES_MIN
        blocks = -(-value_bytes // per_block)
        if blocks >= layout.PARTS_MAX:
            raise MemoryFull(f"a value of {value_bytes} bytes has too many parts")
        wanted = SPARE_BLOCKS_MIN + blocks
        for _ in range(self._flash.shape.blocks):
            if len(self._spare) >= wanted:
                return
            self._collect(wanted + COLLECTED_AHEAD)
        raise MemoryFull("the flash is full of what lives")

    def _entries_bytes(self, name: str, value_bytes: int) -> int:
        """At most, wherever in a block the first of its parts begins."""
        overhead = layout.entry_bytes(name, 0)
        per_block = self._block_bytes - layout.HEADER_BYTES - overhead
        return value_bytes + overhead * (2 + value_bytes // per_block)

    def _is_small(self, name: str, value_bytes: int) -> bool:
        """Whether little more would live than before: what the name has now goes."""
        held = self._index.get(name)
        before = [] if held is None else [self._flash.read(at, layout.ENTRY_HEAD_BYTES) for at in held.places]
        return value_bytes - sum(layout.lengths(head)[1] for head in before) <= GROWTH_BYTES_SMALL

    def _capacity_bytes(self) -> int:
        """How much may live: collecting must always find something to free."""
        blocks = self._flash.shape.blocks - len(self._retired) - SPARE_BLOCKS_MIN - 1
        return blocks * (self._block_bytes - layout.HEADER_BYTES) * FILLED_PERCENT_MAX // 100

    def _collect(self, wanted: int) -> None:
        """Free blocks, those with the least that lives first, until ``wanted`` are spare or one pass is done."""
        candidates = self._in_use - self._retired - {self._head}
        victims = heapq.nsmallest(wanted, candidates, key=lambda block: (self._live_bytes[block], block))
        coldest = min(candidates, key=lambda block: (self._flash.erases(block), block), default=None)
        least_worn_spare = self._spare[0][0] if self._spare else 0
        if coldest is not None and least_worn_spare - self._flash.erases(coldest) > WEAR_SPREAD_MAX:
            victims = [coldest, *(block for block in victims if block != coldest)]
        for victim in victims:
            if len(self._spare) >= wanted:
                return
            self._relocate(victim)
            self._release(victim)

    def _relocate(self, block: int) -> None:
        """Copy to the head what lives in the block; its own entries stay as they are."""
        start = self._address(block)
        content = self._flash.read_block(block) if block in self._in_use else b""
        for entry in layout.read_entries(content) if content else ():
            held = self._index.get(entry.name)
            address = start + entry.offset
            if held is None or address not in held.places:
                continue
            copy = self._copy(content[entry.offset : entry.end])
            places = self._index[entry.name].places
            moved = tuple(copy if place == address else place for place in places)
            self._index[entry.name] = _Held(held.version, moved)

    def _copy(self, entry: bytes) -> int:
        while True:
            if self._room() < len(entry):
                self._open_block()
            place = self._append(entry)
            if place is not None:
                return place

    def _release(self, block: int) -> None:
        """From here on a boot passes the block over. It is erased when it is needed."""
        self._flash.program(self._address(block) + layout.RELEASED_AT, layout.GONE)
        self._in_use.discard(block)
        self._count_live(block, -self._live_bytes[block])
        if block not in self._retired:
            self._add_spare(block)

    # --- private ---------------------------------------------------------------------------------------

    def _scrub_block(self, block: int, done: Scrubbed) -> None:
        zeros = bytes(self._block_bytes)
        self._flash.program(self._address(block), zeros)
        done.not_zero += self._flash.read_block(block) != zeros
        self._flash.erase(block)
        stuck = 8 * self._block_bytes - int.from_bytes(self._flash.read_block(block), "big").bit_count()
        done.not_blank += stuck > STUCK_BITS_PER_BLOCK_MAX
        done.stuck_bits += stuck
        done.blocks += 1

    def _mark_dead(self, places: Iterable[int]) -> None:
        for place in places:
            head = self._flash.read(place, layout.ENTRY_HEAD_BYTES)
            if layout.is_live(head):
                entry_bytes = layout.ENTRY_HEAD_BYTES + sum(layout.lengths(head))
                self._count_live(place // self._block_bytes, -entry_bytes)
            self._flash.program(place + layout.ENTRY_STATE_AT, layout.GONE)

    def _count_live(self, block: int, more_bytes: int) -> None:
        self._live_bytes[block] += more_bytes
        self._live_bytes_total += more_bytes

    def _value_at(self, place: int) -> bytes:
        name_bytes, value_bytes = layout.lengths(self._flash.read(place, layout.ENTRY_HEAD_BYTES))
        return self._flash.read(place + layout.ENTRY_HEAD_BYTES + name_bytes, value_bytes)

    def _add_spare(self, block: int) -> None:
        heapq.heappush(self._spare, (self._flash.erases(block), block))

    def _address(self, block: int) -> int:
        return block * self._block_bytes

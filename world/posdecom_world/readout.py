"""What lies in a terminal's chips, read from their plain bytes: not what its firmware believes.

Flash blocks and slots are read again only where an operation touched them: a session has hundreds of operations, and
each is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple

from posdecom_simulator.forensics.forms import Form, Rendering
from posdecom_simulator.forensics.record import Entry
from posdecom_simulator.forensics.search import Search
from posdecom_simulator.memory import flash_layout as layout
from posdecom_simulator.memory.image import FLASH, REGIONS, SECURE_ELEMENT, SRAM, Image
from posdecom_simulator.memory.slot_memory import read_slots
from posdecom_simulator.memory.supply import Operation
from posdecom_simulator.terminal.slots import SLOT_PREFIX


class _Part(NamedTuple):
    """One live entry, or one filled slot."""

    name: str
    version: int
    number: int
    is_last: bool
    value: bytes


Unit = tuple[str, int]
"""A region and a block of it; the other chips are one block each."""


class Readout:
    """Of one image, whose owner tells of every operation (`touched`). ``search``: for what was secret so far."""

    def __init__(self, image: Image, search: Search | None = None) -> None:
        self._image = image
        self._searches = [] if search is None else [search]
        self._blocks: Final = image.geometry.flash.blocks
        self._block_bytes: Final = image.geometry.flash.block_bytes
        self._parts: dict[Unit, list[_Part]] = {unit: [] for unit in self._units()}
        """As they were read last; in the order of the units."""
        self._unread = set(self._parts)
        self._found: dict[Unit, frozenset[str]] = {}
        self._values: Mapping[str, bytes] | None = None

    # --- what changes

    def touched(self, operation: Operation) -> None:
        region, _, start, _ = operation
        self._forget((region, start // self._block_bytes if region == FLASH else 0))

    def struck(self) -> None:
        """The tamper circuit went through the battery-backed chips."""
        for region in (SRAM, SECURE_ELEMENT):
            self._forget((region, 0))

    def note(self, entry: Entry) -> None:
        """One more secret goes into the memory."""
        self._searches.append(Search((entry,), raw))
        self._found.clear()

    # --- what is there

    def values(self) -> Mapping[str, bytes]:
        """As a boot that is perfect would find them: of each name the newest value that is whole; as they lie there,
        master keys wrapped."""
        if self._values is None:
            for unit in self._unread:
                self._parts[unit] = list(self._read(unit))
            self._unread.clear()
            self._values = dict(_newest(chain.from_iterable(self._parts.values())))
        return self._values

    def secrets(self) -> frozenset[str]:
        """Slots of which any eight bytes that were ever in them lie anywhere: in use, stale, spare or retired."""
        return frozenset().union(*map(self._search_unit, self._parts))

    def secrets_of(self, keys: Collection[str]) -> frozenset[str]:
        """`secrets`, but only until the slots of ``keys`` are found: where values of these names live comes first."""
        self.values()
        wanted, found = {key.removeprefix(SLOT_PREFIX) for key in keys}, frozenset[str]()
        for unit in sorted(
            self._parts, key=lambda one: all(part.name not in keys for part in self._parts[one])
        ):
            if not found.issuperset(wanted):
                found |= self._search_unit(unit)
        return found

    # --- private

    def _units(self) -> Iterator[Unit]:
        yield from ((FLASH, block) for block in range(self._blocks))
        yield from ((region, 0) for region in REGIONS if region != FLASH)

    def _forget(self, unit: Unit) -> None:
        self._unread.add(unit)
        self._found.pop(unit, None)
        self._values = None

    def _content(self, unit: Unit) -> bytes:
        region, block = unit
        cells = self._image.cells[region]
        if region != FLASH:
            return bytes(cells)
        return bytes(cells[block * self._block_bytes : (block + 1) * self._block_bytes])

    def _read(self, unit: Unit) -> Iterator[_Part]:
        content = self._content(unit)
        return _in_block(content) if unit[0] == FLASH else self._in_slots(unit[0], content)

    def _in_slots(self, region: str, content: bytes) -> Iterator[_Part]:
        geometry = self._image.geometry
        slot_bytes = geometry.sram_slot_bytes if region == SRAM else geometry.secure_element_slot_bytes
        for one in read_slots(content, slot_bytes):
            yield _Part(one.name, one.version, 0, True, one.value)

    def _search_unit(self, unit: Unit) -> frozenset[str]:
        found = self._found.get(unit)
        if found is None:
            content = self._content(unit)
            found = frozenset(find.slot for one in self._searches for find in one.look(unit[0], content))
            self._found[unit] = found
        return found


def raw(value: bytes) -> Iterator[Rendering]:
    """The other forms are looked for by tests of their own; a terminal's firmware makes none of them."""
    yield Rendering(Form.RAW, value)


def _in_block(block: bytes) -> Iterator[_Part]:
    if layout.read_header(block).opening is None:
        return
    for one in layout.read_entries(block):
        if one.is_live:
            yield _Part(one.name, one.version, one.part, one.is_last, block[one.value_offset : one.end])


def _newest(parts: Iterable[_Part]) -> Iterator[tuple[str, bytes]]:
    """Of each name the highest version of which every part is there."""
    newest: dict[str, _Part] = {}
    pieces: dict[tuple[str, int], dict[int, _Part]] = defaultdict(dict)
    for part in parts:
        if part.number or not part.is_last:
            pieces[part.name, part.version][part.number] = part
        elif part.name not in newest or part.version > newest[part.name].version:
            newest[part.name] = part
    for (name, version), found in pieces.items():
        ordered = [found[number] for number in sorted(found)]
        is_whole = ordered[-1].is_last and len(ordered) == ordered[-1].number + 1
        if is_whole and (name not in newest or version > newest[name].version):
            newest[name] = _Part(name, version, 0, True, b"".join(part.value for part in ordered))
    return ((name, part.value) for name, part in newest.items())

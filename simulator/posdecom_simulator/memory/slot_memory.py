"""Memory that is overwritten in place, in slots of one size: battery-backed SRAM, and a secure element's key store.

Slot 0 is the header: magic 4, tamper latch 1 (0 intact), zeros. Every other slot: state 1 (``A5`` filled, anything else
empty), length of the name 1, length of the value 2, version 4, CRC-32 4 (over lengths, version, name and value), name
(ASCII), value, zeros. All integers big-endian. An empty slot is zeros throughout.

A value is replaced in three operations: the new one into an empty slot, its state, the old slot overwritten with zeros.
A power cut between or inside them leaves the old value or the new one; `repair` overwrites what is left of the other.
Nothing is cached: a tamper takes effect with the next read, whoever reads.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from posdecom_protocol.errors import LocalError

from .supply import Action, Cells, Operation, Supply, change, steady

MAGIC: Final = b"PDSM"
LATCH_AT: Final = 4
TAMPERED: Final = 0xFF
FILLED: Final = 0xA5

_HEAD: Final = struct.Struct(">BBHII")
_CHECKED: Final = slice(1, 8)


class SlotMemoryFull(LocalError):
    """Every slot is filled."""


class Filled(NamedTuple):
    slot: int
    name: str
    version: int
    value: bytes


class SlotMemory:
    """One chip over its ``cells``; ``region`` is its name."""

    def __init__(self, region: str, cells: Cells, slot_bytes: int, supply: Supply = steady) -> None:
        if len(cells) % slot_bytes or len(cells) < 3 * slot_bytes:
            raise LocalError(f"{region} of {len(cells)} bytes in slots of {slot_bytes}")
        self.region: Final = region
        self._cells = cells
        self._slot_bytes = slot_bytes
        self._slots = range(1, len(cells) // slot_bytes)
        self._supply = supply

    # --- values ----------------------------------------------------------------------------------------

    def get(self, name: str) -> bytes | None:
        found = self._find(name)
        return max(found, key=_version).value if found else None

    def names(self) -> set[str]:
        return {filled.name for filled in self._filled()}

    def put(self, name: str, value: bytes) -> None:
        """`SlotMemoryFull` where no slot is empty, `LocalError` for a value that fits none."""
        before = self._find(name)
        taken = {filled.slot for filled in self._filled()}
        slot = next((slot for slot in self._slots if slot not in taken), None)
        if slot is None:
            raise SlotMemoryFull(f"{self.region}: all {len(self._slots)} slots are filled")
        content = self._content(name, value, 1 + max(map(_version, before), default=0))
        start = slot * self._slot_bytes
        self._write(start + 1, content[1:])
        self._write(start, content[:1])
        for filled in before:
            self._overwrite(filled.slot)

    def erase(self, names: Iterable[str]) -> None:
        """Overwrite with zeros every slot that holds one of the values."""
        for name in names:
            for filled in self._find(name):
                self._overwrite(filled.slot)

    def overwrite_empty_slots(self) -> bool:
        """Zeros once more over every slot that holds no value; True if each reads back zero."""
        filled = {one.slot for one in self._filled()}
        empty = [slot for slot in self._slots if slot not in filled]
        for slot in empty:
            self._overwrite(slot)
        return not any(any(self._read(slot)) for slot in empty)

    # --- life ------------------------------------------------------------------------------------------

    @property
    def is_formatted(self) -> bool:
        """False for a chip that was never used, and for one that has lost what it held."""
        return bytes(self._cells[: len(MAGIC)]) == MAGIC

    @property
    def is_latched(self) -> bool:
        return self._cells[LATCH_AT] != 0

    def format(self) -> None:
        """Zeros everywhere, then the header."""
        for slot in (0, *self._slots):
            self._overwrite(slot)
        self._write(0, MAGIC)

    def repair(self) -> None:
        """Overwrite what a power cut left: slots half written, and values that were replaced."""
        filled = list(self._filled())
        newest = {one.name: one for one in sorted(filled, key=_version)}
        kept = {one.slot for one in newest.values()}
        for slot in self._slots:
            if slot not in kept and any(self._read(slot)):
                self._overwrite(slot)

    def lose(self) -> None:
        """Everything is zeros at once, by the tamper circuit; only the latch says why. No supply is asked."""
        self._cells[:] = bytes(len(self._cells))
        self._cells[LATCH_AT] = TAMPERED

    # --- private ---------------------------------------------------------------------------------------

    def _filled(self) -> Iterator[Filled]:
        return read_slots(self._cells, self._slot_bytes)

    def _find(self, name: str) -> list[Filled]:
        return [filled for filled in self._filled() if filled.name == name]

    def _read(self, slot: int) -> bytes:
        return bytes(self._cells[slot * self._slot_bytes : (slot + 1) * self._slot_bytes])

    def _content(self, name: str, value: bytes, version: int) -> bytes:
        encoded = name.encode("ascii")
        if _HEAD.size + len(encoded) + len(value) > self._slot_bytes:
            raise LocalError(
                f"{self.region}: {name} of {len(value)} bytes fits no slot of {self._slot_bytes}"
            )
        head = bytearray(_HEAD.pack(FILLED, len(encoded), len(value), version, 0))
        struct.pack_into(">I", head, _HEAD.size - 4, _check(bytes(head), encoded + value))
        return bytes(head) + encoded + value

    def _overwrite(self, slot: int) -> None:
        self._write(slot * self._slot_bytes, bytes(self._slot_bytes))

    def _write(self, start: int, data: bytes) -> None:
        change(self._cells, Operation(self.region, Action.WRITE, start, len(data)), data, self._supply)


def read_slots(cells: Cells | bytes, slot_bytes: int) -> Iterator[Filled]:
    """The slots that are filled, from plain bytes: for the chip itself, and for whoever inspects an image."""
    for slot in range(1, len(cells) // slot_bytes):
        start = slot * slot_bytes
        if cells[start] != FILLED:
            continue
        content = bytes(cells[start : start + slot_bytes])
        _, name_bytes, value_bytes, version, check = _HEAD.unpack_from(content)
        value_at, end = _HEAD.size + name_bytes, _HEAD.size + name_bytes + value_bytes
        if end <= slot_bytes and check == _check(content, content[_HEAD.size : end]):
            name = content[_HEAD.size : value_at].decode("ascii", "replace")
            yield Filled(slot, name, version, content[value_at:end])


def _check(head: bytes, rest: bytes) -> int:
    return zlib.crc32(rest, zlib.crc32(head[_CHECKED]))


def _version(filled: Filled) -> int:
    return filled.version

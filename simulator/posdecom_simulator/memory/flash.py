"""NOR flash as silicon: programming clears bits, erasing a whole block sets them, and each erase wears the block.

The chip's controller counts the erases of each block (4 bytes big-endian each, in cells of their own). A block that
was erased more often than it endures gets worn cells, one more with each erase: a worn cell does not come back to 1
when the block is erased, but keeps what it holds. It can still be programmed to 0; that is why zeros are programmed
before an erase that has to destroy something.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from posdecom_protocol.errors import LocalError

from .supply import Action, Cells, Operation, Supply, change, steady

REGION: Final = "flash"
BLANK: Final = b"\xff"
WORN_CELLS_MAX: Final = 8
"""Of one block; "a few" is what real parts show long before they fail."""

_COUNT: Final = struct.Struct(">I")
COUNT_BYTES: Final = _COUNT.size


@dataclass(frozen=True, slots=True)
class FlashShape:
    """`ValueError` for a shape that no store fits in."""

    blocks: int = 1024
    block_bytes: int = 4096
    page_bytes: int = 256
    """At most so much is programmed by one operation."""
    endurance_erases: int = 100_000
    """What data sheets of serial NOR flash promise for each block."""

    def __post_init__(self) -> None:
        if not 8 <= self.blocks <= 65_536 or not 256 <= self.block_bytes <= 32_768:
            raise ValueError(f"flash of {self.blocks} blocks of {self.block_bytes} bytes")
        if self.page_bytes < 16 or self.block_bytes % self.page_bytes:
            raise ValueError(f"pages of {self.page_bytes} bytes do not divide a block of {self.block_bytes}")

    @property
    def size_bytes(self) -> int:
        return self.blocks * self.block_bytes


class Flash:
    """One chip over its ``cells``, whose erases are counted in ``wear``."""

    def __init__(self, cells: Cells, wear: Cells, shape: FlashShape, supply: Supply = steady) -> None:
        if len(cells) != shape.size_bytes or len(wear) != shape.blocks * COUNT_BYTES:
            raise LocalError(
                f"cells of {len(cells)} bytes, counters of {len(wear)} do not fit the flash's shape"
            )
        self.shape: Final = shape
        self._cells = cells
        self._wear = wear
        self._supply = supply

    def read(self, start: int, size_bytes: int) -> bytes:
        return bytes(self._cells[start : start + size_bytes])

    def read_block(self, block: int) -> bytes:
        return self.read(block * self.shape.block_bytes, self.shape.block_bytes)

    def program(self, start: int, data: bytes) -> None:
        """Clear the bits that are 0 in ``data``, page by page. Bits that are 0 already stay 0."""
        page, end = self.shape.page_bytes, start + len(data)
        position = start
        while position < end:
            until = min(end, position - position % page + page)
            self._program_page(position, data[position - start : until - start])
            position = until

    def erase(self, block: int) -> None:
        """Set every bit of the block that is not worn. A cut leaves a mixture."""
        erases = self.erases(block) + 1
        _COUNT.pack_into(self._wear, block * COUNT_BYTES, erases)
        size = self.shape.block_bytes
        after = bytearray(BLANK * size)
        for place, bit in worn_cells(self.shape, block, erases):
            after[place] &= self._cells[block * size + place] | ~bit
        operation = Operation(REGION, Action.ERASE, block * size, size)
        change(self._cells, operation, bytes(after), self._supply)

    def erases(self, block: int) -> int:
        """How often the block was erased in its life."""
        count: int = _COUNT.unpack_from(self._wear, block * COUNT_BYTES)[0]
        return count

    def _program_page(self, start: int, data: bytes) -> None:
        size = len(data)
        after = data if data == bytes(size) else _and(self.read(start, size), data)
        change(self._cells, Operation(REGION, Action.PROGRAM, start, size), after, self._supply)


@lru_cache(maxsize=256)
def worn_cells(shape: FlashShape, block: int, erases: int) -> tuple[tuple[int, int], ...]:
    """Byte of the block and bit mask of each cell that is worn after so many erases; the same for equal arguments."""
    count = min(WORN_CELLS_MAX, max(0, erases - shape.endurance_erases))
    if count == 0:
        return ()
    chance = hashlib.shake_256(b"worn cells %d" % block).digest(3 * count)
    return tuple(
        (int.from_bytes(chance[at : at + 2], "big") % shape.block_bytes, 1 << (chance[at + 2] & 7))
        for at in range(0, 3 * count, 3)
    )


def _and(one: bytes, other: bytes) -> bytes:
    both = int.from_bytes(one, "big") & int.from_bytes(other, "big")
    return both.to_bytes(len(one), "big")

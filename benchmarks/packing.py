"""How much smaller records get, by level and by size of the block. From the repository:

    python benchmarks/packing.py [TRANSACTIONS]

Records of a shop, as the terminal prepares them. The question: which level, and does it pay to pack more at a time, or
to bring a dictionary along? ``xz -9`` over all of them at once says what there is to win.
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from frozen_terminal import freeze, items_of

BLOCKS: Final = (4096, 16_384, 65_536)
LEVELS: Final = (1, 6, 9)
HEAD_BYTES: Final = 16
"""Message and its fields."""


def blocks(items: Sequence[bytes], most: int) -> Iterator[list[bytes]]:
    block: list[bytes] = []
    for item in items:
        if block and sum(map(len, block)) + len(item) > most:
            yield block
            block = []
        block.append(item)
    yield block


def packed_bytes(block: Sequence[bytes], level: int, dictionary: bytes) -> int:
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15, zdict=dictionary)
    lengths = b"".join(len(item).to_bytes(2, "big") for item in block)
    packed = deflate.compress(lengths) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return HEAD_BYTES + len(packed + deflate.compress(b"".join(block)) + deflate.flush())


def main(transactions: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        terminal = freeze(Path(name), "shop", transactions)
        items = items_of(terminal)
    dictionary, rest = b"".join(items[:32]), items[32:]
    useful = sum(map(len, rest))
    print(
        f"{len(items)} records of {terminal.useful_bytes / len(items):.0f} bytes; xz -9: {terminal.xz_ratio:.2f} : 1"
    )
    for most in BLOCKS:
        for level in LEVELS:
            for used in (b"", dictionary):
                began = time.process_time()
                made = sum(packed_bytes(block, level, used) for block in blocks(rest, most))
                cost_us = (time.process_time() - began) * 1e6 / (useful / 1024)
                words = "dictionary of 32 records" if used else ""
                print(
                    f"{most:>6} bytes, level {level}: {useful / made:.2f} : 1, {cost_us:3.0f} us/KiB {words}"
                )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1900)

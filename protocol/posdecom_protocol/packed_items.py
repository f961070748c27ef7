"""Items as one DEFLATE stream (RFC 1951, raw), and back, with a bound on what it may expand to.

Inside the stream: the length of each item, two bytes big-endian, one after the other; then all items. Lengths of
records are nearly all the same and cost nothing so, where the records themselves do not compress. Whoever packs may
end a block between the two, and chooses level and blocks as he likes: any stream that expands to the same is right.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from .errors import MessageError
from .limits import MESSAGE_BYTES_MAX
from .messages import Items, PackedItems

LENGTH_BYTES: Final = 2
LEVEL: Final = 6
"""On records of a shop 2.43 : 1 in blocks of 16 KiB; level 1 gives 2.37, level 9 2.44 (benchmarks/packing.py)."""

_RAW: Final = -zlib.MAX_WBITS


def pack(items: Items) -> PackedItems:
    lengths = b"".join(len(item).to_bytes(LENGTH_BYTES, "big") for item in items.items)
    plain_bytes = len(lengths) + sum(map(len, items.items))
    deflate = zlib.compressobj(LEVEL, wbits=_RAW)
    # a block of its own: among bytes that do not compress, the lengths would be stored with them
    packed = deflate.compress(lengths) + deflate.flush(zlib.Z_SYNC_FLUSH)
    packed += deflate.compress(b"".join(items.items)) + deflate.flush()
    return PackedItems(items.first, len(items.items), plain_bytes, packed)


def unpack(packed: PackedItems) -> Items:
    """`MessageError` for what is no stream, or does not expand to exactly what it announces: no more is expanded."""
    if packed.plain_bytes > MESSAGE_BYTES_MAX:
        raise MessageError(f"packed items announce {packed.plain_bytes} bytes; at most {MESSAGE_BYTES_MAX}")
    inflate = zlib.decompressobj(_RAW)
    try:
        plain = inflate.decompress(packed.packed, packed.plain_bytes + 1)
    except zlib.error as error:
        raise MessageError("packed items are no DEFLATE stream") from error
    if len(plain) != packed.plain_bytes or not inflate.eof or inflate.unused_data:
        raise MessageError("packed items are not as long as they announce")
    try:
        return Items(packed.first, tuple(_cut(plain, packed.count)))
    except ValueError as error:
        raise MessageError("packed items are malformed") from error


def _cut(plain: bytes, count: int) -> Iterator[bytes]:
    position = count * LENGTH_BYTES
    for number in range(count):
        at = number * LENGTH_BYTES
        end = position + int.from_bytes(plain[at : at + LENGTH_BYTES], "big")
        if end > len(plain):
            raise ValueError("an item ends beyond the rest")
        yield plain[position:end]
        position = end
    if position != len(plain):
        raise ValueError("the items are longer than their lengths")

"""Items in one DEFLATE stream: worked examples against zlib alone, and streams that lie about themselves."""

from __future__ import annotations

import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_protocol.errors import MessageError
from posdecom_protocol.limits import MESSAGE_BYTES_MAX
from posdecom_protocol.messages import Items, PackedItems
from posdecom_protocol.packed_items import pack, unpack

TWO = Items(65, (b"a", b"bcd"))
STORED = bytes.fromhex("010800f7ff 0001 0003 61 626364")
"""One stored block (RFC 1951 section 3.2.4), written by hand."""


def deflated(plain: bytes) -> bytes:
    deflate = zlib.compressobj(9, wbits=-15)
    return deflate.compress(plain) + deflate.flush()


def test_lengths_come_first_then_the_items() -> None:
    packed = pack(TWO)
    assert (packed.first, packed.count, packed.plain_bytes) == (65, 2, 8)
    assert zlib.decompress(packed.packed, wbits=-15) == STORED[5:]


def test_a_stream_made_by_hand_is_read() -> None:
    assert unpack(PackedItems(65, 2, 8, STORED)) == TWO


@settings(deadline=None, max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=20))
def test_whatever_is_packed_comes_out_as_it_was(items: list[bytes]) -> None:
    assert unpack(pack(Items(7, tuple(items)))) == Items(7, tuple(items))


def test_lengths_cost_nothing_where_the_items_do_not_compress() -> None:
    chance = random.Random(1)
    items = Items(1, tuple(chance.randbytes(250) for _ in range(64)))
    assert len(pack(items).packed) < 64 * 250 + 40


def test_no_more_is_expanded_than_a_message_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb of a thousand to one: refused for what it announces, or cut off one byte behind that."""
    bomb = deflated(bytes(64 * 1024 * 1024))
    with pytest.raises(MessageError, match="at most 131072"):
        unpack(PackedItems(1, 1, 64 * 1024 * 1024, bomb))
    expanded: list[int] = []
    real = zlib.decompressobj(wbits=-15)

    class Watched:
        eof, unused_data = False, b""

        def decompress(self, data: bytes, most: int) -> bytes:
            plain = real.decompress(data, most)
            expanded.append(len(plain))
            return plain

    monkeypatch.setattr(zlib, "decompressobj", lambda wbits: Watched())
    with pytest.raises(MessageError, match="not as long"):
        unpack(PackedItems(1, 1, MESSAGE_BYTES_MAX, bomb))
    assert expanded == [MESSAGE_BYTES_MAX + 1]


@pytest.mark.parametrize(
    ("packed", "why"),
    [
        (PackedItems(1, 2, 8, b"\xff" * 8), "no DEFLATE"),
        (PackedItems(1, 2, 8, b""), "not as long"),
        (PackedItems(1, 2, 8, STORED[:-1]), "not as long"),
        (PackedItems(1, 2, 8, STORED + b"\0"), "not as long"),
        (PackedItems(1, 2, 7, STORED), "not as long"),
        (PackedItems(1, 2, 9, STORED), "not as long"),
        (PackedItems(1, 0, 8, STORED), "malformed"),
        (PackedItems(1, 1, 8, STORED), "malformed"),
        (PackedItems(1, 3, 8, STORED), "malformed"),
        (PackedItems(1, 60_000, 8, STORED), "malformed"),
        (PackedItems(1, 2, 8, deflated(bytes.fromhex("0000 0004 61626364"))), "malformed"),
        (PackedItems(1, 0, 0, deflated(b"")), "malformed"),
    ],
)
def test_a_stream_that_is_not_what_it_announces_is_refused(packed: PackedItems, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        unpack(packed)

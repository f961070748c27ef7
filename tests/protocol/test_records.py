"""Items by worked examples, both ways; the chain against hashlib alone."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posdecom_protocol.errors import MessageError
from posdecom_protocol.limits import ITEM_BYTES_MAX
from posdecom_protocol.money import CardGroup, TransactionClass
from posdecom_protocol.records import (
    CHAIN_START,
    Item,
    ItemKind,
    Summary,
    chain,
    chain_head,
    decode_item,
    encode_item,
)

SUMMARY = Summary(
    record=7,
    transaction_class=TransactionClass.OFFLINE_SALE,
    group=CardGroup.FOREIGN,
    stan=123456,
    rrn="000000000042",
    amount=10_000,
    currency=156,
    local_time="270115093000",
    first6="400000",
    last4="0005",
)
SUMMARY_HEX = (
    "00000007 04 01 01E240 303030303030303030303432 000000002710 009C 270115093000 400000 0005"
)  # fmt: skip
EXAMPLES = [
    (Item(ItemKind.ADVICE, 1, SUMMARY, b"abc"), f"02 01 28 {SUMMARY_HEX} 0003 616263"),
    (Item(ItemKind.TOTALS, 63, None, b"\x60"), "03 3F 00 0001 60"),
    (Item(ItemKind.CLOSE, 0, None, b""), "0A 00 00 0000"),
]


def example(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


@pytest.mark.parametrize(("item", "text"), EXAMPLES)
class TestEachExample:
    def test_is_what_the_item_encodes_to(self, item: Item, text: str) -> None:
        assert encode_item(item).hex() == example(text).hex()

    def test_is_what_it_decodes_from(self, item: Item, text: str) -> None:
        assert decode_item(example(text)) == item

    def test_is_refused_when_any_byte_is_missing(self, item: Item, text: str) -> None:
        data = example(text)
        for end in range(len(data)):
            with pytest.raises(MessageError, match=r"^item is malformed$"):
                decode_item(data[:end])

    def test_is_refused_with_a_byte_behind_it(self, item: Item, text: str) -> None:
        with pytest.raises(MessageError, match=r"^item is not in its one encoding$"):
            decode_item(example(text) + b"\0")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("02 01 28", "00 01 28"),  # kind below the first
        ("02 01 28", "FF 01 28"),  # kind above the last
        ("02 01 28", "02 40 28"),  # context 64
        ("02 01 28", "02 01 27"),  # a summary of 39 bytes
        ("00000007", "00000000"),  # record 0
        ("04 01 01E240", "00 01 01E240"),  # class below the first
        ("04 01 01E240", "0B 01 01E240"),  # class above the last
        ("04 01 01E240", "04 02 01E240"),  # no such card group
        ("01E240", "000000"),  # STAN 0
        ("01E240", "0F4240"),  # STAN 1,000,000
        ("3432", "340A"),  # a line feed in the RRN
        ("3432", "34B2"),  # not ASCII
        ("000000002710", "E8D4A51000" + "00"),  # amount of thirteen digits
        ("009C", "03E8"),  # currency 1000
        ("270115093000", "2701150930A0"),  # BCD with a letter, in each of the three fields
        ("400000", "40000F"),
        ("400000 0005", "400000 B005"),
    ],
)
def test_a_summary_out_of_bounds_is_refused(was: str, becomes: str) -> None:
    text = EXAMPLES[0][1]
    assert text.count(was) == 1
    with pytest.raises(MessageError, match=r"^item is"):
        decode_item(example(text.replace(was, becomes)))


def test_a_summary_of_41_bytes_is_refused() -> None:
    with pytest.raises(MessageError, match="not in its one encoding"):
        decode_item(example(f"02 01 29 {SUMMARY_HEX} 00 0003 616263"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": 0}, "record is not 1 to 4294967295"),
        ({"record": 2**32}, "record is not 1 to 4294967295"),
        ({"stan": 0}, "stan is not 1 to 999999"),
        ({"stan": 1_000_000}, "stan is not 1 to 999999"),
        ({"amount": -1}, "amount is not 0 to 999999999999"),
        ({"amount": 10**12}, "amount is not 0 to 999999999999"),
        ({"currency": 1000}, "currency is not 0 to 999"),
        ({"rrn": "42"}, "rrn is not 12 printable ASCII characters"),
        ({"rrn": "00000000004é"}, "rrn is not 12 printable ASCII characters"),
        ({"local_time": "27011509300"}, "local_time is not 12 digits"),
        ({"local_time": "27011509300A"}, "local_time is not 12 digits"),
        ({"first6": "4000001"}, "first6 is not 6 digits"),
        ({"last4": "٤٢٤٢"}, "last4 is not 4 digits"),
    ],
)
def test_a_summary_that_does_not_fit_cannot_be_made(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        replace(SUMMARY, **change)  # type: ignore[arg-type]  # one member of any type


@pytest.mark.parametrize("context", [-1, 64])
def test_an_item_of_a_context_that_no_seal_can_have_cannot_be_made(context: int) -> None:
    with pytest.raises(ValueError, match=r"^context is not 0 to 63$"):
        Item(ItemKind.TOTALS, context, None, b"")


def test_the_longest_item_passes_and_one_byte_more_is_neither_made_nor_read() -> None:
    longest = Item(ItemKind.TOTALS, 0, None, bytes(ITEM_BYTES_MAX - 5))
    data = encode_item(longest)
    assert len(data) == ITEM_BYTES_MAX
    assert decode_item(data) == longest
    with pytest.raises(ValueError, match=r"^item of 2049 bytes; at most 2048$"):
        encode_item(replace(longest, message=bytes(ITEM_BYTES_MAX - 4)))
    with pytest.raises(MessageError, match=r"^item of 2049 bytes; at most 2048$"):
        decode_item(data + b"\0")


@pytest.mark.parametrize("length", [ITEM_BYTES_MAX + 1, 2**16])
def test_a_message_longer_than_any_item_is_named_by_its_own_length(length: int) -> None:
    """Its two length bytes would not even hold the second one."""
    with pytest.raises(ValueError, match=rf"^message of {length} bytes; an item has at most 2048$"):
        encode_item(Item(ItemKind.TOTALS, 0, None, bytes(length)))


DIGITS = st.text("0123456789", min_size=12, max_size=12)
SUMMARIES = st.builds(
    Summary,
    st.integers(1, 2**32 - 1),
    st.sampled_from(TransactionClass),
    st.sampled_from(CardGroup),
    st.integers(1, 999_999),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=12, max_size=12),
    st.integers(0, 10**12 - 1),
    st.integers(0, 999),
    DIGITS,
    DIGITS.map(lambda digits: digits[:6]),
    DIGITS.map(lambda digits: digits[:4]),
)
SENT = st.sampled_from([kind for kind in ItemKind if kind is not ItemKind.WITHHELD])
ITEMS = st.builds(Item, SENT, st.integers(0, 63), st.none() | SUMMARIES, st.binary(max_size=200)) | st.builds(
    Item, st.just(ItemKind.WITHHELD), st.integers(0, 63), SUMMARIES, st.just(b"")
)


@settings(deadline=None, max_examples=60)
@given(ITEMS)
def test_any_item_comes_out_as_it_went_in(item: Item) -> None:
    assert decode_item(encode_item(item)) == item


def test_what_is_withheld_has_a_summary_and_no_message() -> None:
    """Nobody was charged, and nobody can be with what is in custody."""
    withheld = bytes((ItemKind.WITHHELD, 0, 0)) + b"\x00\x00"
    with pytest.raises(MessageError):
        decode_item(withheld)
    with pytest.raises(ValueError, match="no message"):
        Item(ItemKind.WITHHELD, 0, None, b"m")


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60))
def test_any_bytes_are_the_one_encoding_of_an_item_or_a_message_error(data: bytes) -> None:
    try:
        item = decode_item(data)
    except MessageError:
        return
    assert encode_item(item) == data


# --- the chain -----------------------------------------------------------------------------------


def test_the_chain_of_nothing_is_the_digest_of_its_name() -> None:
    assert chain_head([]) == CHAIN_START == hashlib.sha256(b"posdecom/items/1").digest()


def test_the_chain_by_hand() -> None:
    h1 = hashlib.sha256(CHAIN_START + bytes.fromhex("00000001") + b"first").digest()
    h2 = hashlib.sha256(h1 + bytes.fromhex("00000002") + b"second").digest()
    assert chain(CHAIN_START, 1, b"first") == h1
    assert chain_head([b"first", b"second"]) == h2
    assert h2.hex() == hashlib.sha256(h1 + b"\0\0\0\2second").hexdigest()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=8), min_size=1, max_size=5), st.data())
def test_the_head_changes_with_any_item_its_place_and_their_number(
    items: list[bytes], data: st.DataObject
) -> None:
    head, at = chain_head(items), data.draw(st.integers(0, len(items) - 1))
    changed = [*items[:at], items[at] + b"x", *items[at + 1 :]]
    assert chain_head(changed) != head
    assert chain_head(items[:-1]) != head
    assert chain_head([*items, b""]) != head
    if items[0] != items[-1]:
        assert chain_head(items[::-1]) != head

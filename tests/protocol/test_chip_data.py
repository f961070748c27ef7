"""Field 55: which tags it must have and may have, and that no account data can be among them."""

from __future__ import annotations

import pytest

from posdecom_protocol import tlv
from posdecom_protocol.chip_data import CHIP_DATA_BYTES_MAX, TAGS, ChipData, Cryptogram
from posdecom_protocol.errors import LocalError, MessageError

WIRE = (
    "9f2608 0102030405060708" "9f2701 40" "9f1008 07010103a0b80201" "9f3704 c0ffee00" "9f3602 0007"
    "9505 0000008000" "9a03 270115" "9c01 00" "9f0206 000000012345" "5f2a02 0156" "8202 7c00" "9f1a02 0156"
    "9f0306 000000000000" "9f3303 e0e1c8" "9f3403 420300" "9f3501 22" "9f1e08 5445524d30303031"
    "8408 a000000333010101" "9f0902 0030" "9f4104 00000123"
)  # fmt: skip
OBJECTS = tlv.decode(bytes.fromhex(WIRE))
OPTIONAL = [tag for tag, kind in TAGS.items() if kind.optional]


def test_a_sale_by_chip_is_these_bytes_both_ways() -> None:
    data = ChipData.decode(bytes.fromhex(WIRE))
    assert data.encode() == bytes.fromhex(WIRE)
    assert (data.cryptogram, data.amount, data.currency, data.date) == (Cryptogram.TC, 12345, 156, "270115")
    assert "c0ffee" not in repr(data).lower()


def test_another_order_of_the_tags_says_the_same() -> None:
    turned = dict(reversed(OBJECTS.items()))
    assert ChipData.decode(tlv.encode(turned)).encode() == bytes.fromhex(WIRE)


@pytest.mark.parametrize("tag", [tag for tag in TAGS if tag not in OPTIONAL], ids=lambda tag: f"{tag:X}")
def test_a_tag_that_hosts_need_may_not_be_missing(tag: int) -> None:
    objects = {other: value for other, value in OBJECTS.items() if other != tag}
    with pytest.raises(MessageError, match=f"lack tag {tag:X}"):
        ChipData.decode(tlv.encode(objects))
    with pytest.raises(LocalError, match=f"lack tag {tag:X}"):
        ChipData(objects)


def test_what_only_some_terminals_send_may_be_missing() -> None:
    objects = {tag: value for tag, value in OBJECTS.items() if tag not in OPTIONAL}
    assert ChipData.decode(tlv.encode(objects)).amount == 12345


@pytest.mark.parametrize(
    "tag", [0x57, 0x5A, 0x5F20, 0x5F24, 0x56, 0x9F1F, 0x9F6B], ids=lambda tag: f"{tag:X}"
)
def test_account_data_cannot_travel_in_it(tag: int) -> None:
    number = bytes.fromhex("6200000000000005")
    with pytest.raises(MessageError, match="no place there") as refusal:
        ChipData.decode(tlv.encode({**OBJECTS, tag: number}))
    assert number.hex() not in str(refusal.value)


@pytest.mark.parametrize(
    ("tag", "value", "problem"),
    [
        (0x9F02, "0000012345", "5 bytes; 6 to 6"),
        (0x9F02, "00000001234A", "not BCD"),
        (0x9A, "27011F", "not BCD"),
        (0x9F27, "C0", "no known cryptogram"),
        (0x9F10, "", "0 bytes; 1 to 32"),
        (0x9F41, "01", "1 bytes; 2 to 4"),
    ],
)
def test_a_value_of_another_shape_is_refused(tag: int, value: str, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        ChipData.decode(tlv.encode({**OBJECTS, tag: bytes.fromhex(value)}))


@pytest.mark.parametrize(
    ("byte", "kind"), [("00", Cryptogram.AAC), ("47", Cryptogram.TC), ("80", Cryptogram.ARQC)]
)
def test_the_two_high_bits_say_how_it_ended(byte: str, kind: Cryptogram) -> None:
    assert ChipData({**OBJECTS, 0x9F27: bytes.fromhex(byte)}).cryptogram is kind


def test_the_longest_that_may_be_there_fits_the_field() -> None:
    longest = {tag: bytes(kind.most) for tag, kind in TAGS.items()}
    assert len(ChipData(longest).encode()) <= CHIP_DATA_BYTES_MAX
